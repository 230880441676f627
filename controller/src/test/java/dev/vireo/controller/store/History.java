package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicLong;

/** What several clients asked of a store at once, and were answered. */
record History(List<Call> calls) {
  private static final int KEYS = 3;

  /**
   * One call.
   *
   * @param asked before it was made, and {@code told} after its answer, on one clock of the history
   */
  record Call(long asked, long told, Operation operation) {}

  sealed interface Operation {
    /** The answer of a get. */
    record Got(String key, Optional<Entry> entry) implements Operation {}

    /** A commit that was done. */
    record Done(List<Write> writes, long version) implements Operation {}

    record Refused(List<Write> writes, Set<String> keys) implements Operation {}

    /** A commit of which nobody knows; it may still be done at any time. */
    record Unknown(List<Write> writes) implements Operation {}
  }

  /**
   * Lets clients read and write at random, each {@code steps} times. What a client has read it
   * believes until it is refused. Each writes values of its own.
   */
  static History record(Store store, Random seed, int clients, int steps) {
    AtomicLong clock = new AtomicLong();
    List<Call> calls = Collections.synchronizedList(new ArrayList<>());
    List<Thread> threads = new ArrayList<>();
    for (int client = 0; client < clients; client++) {
      Random random = new Random(seed.nextLong());
      String name = "c" + client;
      threads.add(
          Thread.ofVirtual()
              .start(() -> {
                Map<String, Long> believed = new HashMap<>();
                for (int step = 0; step < steps; step++) {
                  calls.add(call(store, random, believed, name + "-" + step, clock));
                }
              }));
    }
    for (Thread thread : threads) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
    return new History(List.copyOf(calls));
  }

  private static Call call(
      Store store, Random random, Map<String, Long> believed, String value, AtomicLong clock) {
    List<String> keys = keys(random);
    Optional<String> unread =
        keys.stream().filter(key -> !believed.containsKey(key) || random.nextInt(4) == 0).findAny();
    long asked = clock.incrementAndGet();
    Operation operation =
        unread.isPresent()
            ? get(store, unread.get(), believed)
            : commit(store, writes(keys, random, believed, value), believed);
    return new Call(asked, clock.incrementAndGet(), operation);
  }

  private static List<String> keys(Random random) {
    int first = random.nextInt(KEYS);
    return random.nextBoolean()
        ? List.of("k" + first)
        : List.of("k" + first, "k" + (first + 1) % KEYS);
  }

  private static Operation get(Store store, String key, Map<String, Long> believed) {
    while (true) {
      try {
        Optional<Entry> entry = store.get(key).join();
        believed.put(key, entry.map(Entry::version).orElse(Write.ABSENT));
        return new Operation.Got(key, entry);
      } catch (CompletionException e) {
        // A read that failed has told nothing.
      }
    }
  }

  private static List<Write> writes(
      List<String> keys, Random random, Map<String, Long> believed, String value) {
    List<Write> writes = new ArrayList<>();
    for (String key : keys) {
      long version = believed.getOrDefault(key, Write.ABSENT);
      writes.add(
          version != Write.ABSENT && random.nextInt(4) == 0
              ? new Write.Delete(key, version)
              : new Write.Put(key, version, ByteString.copyFromUtf8(value)));
    }
    return writes;
  }

  private static Operation commit(Store store, List<Write> writes, Map<String, Long> believed) {
    try {
      long version = store.commit(writes).join();
      for (Write write : writes) {
        switch (write) {
          case Write.Put put -> believed.put(put.key(), version);
          case Write.Delete delete -> believed.put(delete.key(), Write.ABSENT);
          case Write.Unchanged _ -> {}
        }
      }
      return new Operation.Done(writes, version);
    } catch (CompletionException e) {
      writes.forEach(write -> believed.remove(write.key()));
      return switch (e.getCause()) {
        case StoreException.Conflict conflict -> new Operation.Refused(writes, conflict.keys());
        case StoreException.OutcomeUnknown _ -> new Operation.Unknown(writes);
        case null, default -> throw e;
      };
    }
  }
}
