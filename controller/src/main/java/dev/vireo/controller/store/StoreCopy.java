package dev.vireo.controller.store;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Copies all of one store into another, which must be empty, and compares what is there then. The
 * versions are the new store's own.
 */
public final class StoreCopy {
  /** Of the keys that go by themselves: how long they stay is not told by any store. */
  private static final String REQUESTS = "requests/";

  /** Says who leads just now, and goes when nobody does: not to be kept. */
  private static final String ELECTION = "election/";

  private final Store from;
  private final Store to;
  private final Duration requestLifetime;

  /**
   * @param requestLifetime for how long, from now on, creates can still be retried that the old
   *     store has answered
   */
  public StoreCopy(Store from, Store to, Duration requestLifetime) {
    this.from = from;
    this.to = to;
    this.requestLifetime = requestLifetime;
  }

  /** A copy that was not made, and why. */
  public static final class Failed extends Exception {
    private static final long serialVersionUID = 1;

    Failed(String message) {
      super(message);
    }
  }

  /**
   * Does it.
   *
   * @return how many keys there are
   * @throws Failed if there is nothing to copy, the target has something, or the source changes
   * @throws StoreException if one of the stores does not work
   */
  public int run() throws Failed {
    List<Entry> entries = list(from);
    if (entries.isEmpty()) {
      throw new Failed("the store to copy from is empty");
    }
    int there = list(to).size();
    if (there > 0) {
      throw new Failed("the store to copy to is not empty: it has %d keys".formatted(there));
    }
    List<Write> batch = new ArrayList<>();
    long bytes = 0;
    for (Entry entry : entries) {
      Write write = write(entry);
      long size = StoreException.TooLarge.bytes(write);
      if (batch.size() == Store.MAX_WRITES || bytes + size > Store.MAX_COMMIT_BYTES) {
        commit(batch);
        batch.clear();
        bytes = 0;
      }
      batch.add(write);
      bytes += size;
    }
    commit(batch);
    verify(entries);
    return entries.size();
  }

  private Write write(Entry entry) {
    return new Write.Put(
        entry.key(),
        Write.ABSENT,
        entry.value(),
        entry.key().startsWith(REQUESTS)
            ? new Lifetime.AtLeast(requestLifetime)
            : Lifetime.UNLIMITED);
  }

  private void verify(List<Entry> copied) throws Failed {
    Map<String, Entry> expected = new HashMap<>();
    copied.forEach(entry -> expected.put(entry.key(), entry));
    for (Entry entry : list(to)) {
      Entry original = expected.remove(entry.key());
      if (original == null || !original.value().equals(entry.value())) {
        throw new Failed("the copy of %s is not what was written".formatted(entry.key()));
      }
    }
    if (!expected.isEmpty()) {
      throw new Failed("%d keys are missing in the copy".formatted(expected.size()));
    }
    if (hasChanged(copied, list(from))) {
      throw new Failed("the store to copy from has changed meanwhile: stop its controllers");
    }
  }

  /** That requests go by themselves is no change. */
  private static boolean hasChanged(List<Entry> before, List<Entry> now) {
    Set<Entry> gone = new HashSet<>(before);
    if (!gone.containsAll(now)) {
      return true;
    }
    now.forEach(gone::remove);
    return gone.stream().anyMatch(entry -> !entry.key().startsWith(REQUESTS));
  }

  private void commit(List<Write> writes) {
    Store.await(to.commit(List.copyOf(writes)));
  }

  private static List<Entry> list(Store store) {
    return Store.await(store.list("")).entries().stream()
        .filter(entry -> !entry.key().startsWith(ELECTION))
        .toList();
  }
}
