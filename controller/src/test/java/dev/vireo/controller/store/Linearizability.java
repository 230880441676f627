package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.History.Call;
import dev.vireo.controller.store.History.Operation;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * An exact check of linearizability: looks for an order of all calls, in which each is answered as
 * a store with one client would, and none comes before another that had ended before it began (J.
 * Wing and C. Gong, "Testing and verifying concurrent objects", 1993; with G. Lowe's memory of the
 * configurations that lead nowhere).
 */
final class Linearizability {
  private static final long NEVER_READ = -1;

  private final List<Call> calls;

  /** Of the commits that were read, by the value that only they wrote. */
  private final Map<ByteString, Long> versionsRead = new HashMap<>();

  private final Set<Configuration> hopeless = new HashSet<>();
  private int mostPlaced;

  private record Configuration(BitSet placed, Map<String, Entry> state) {}

  private Linearizability(List<Call> calls) {
    this.calls = calls;
    for (Call call : calls) {
      if (call.operation() instanceof Operation.Got(_, Optional<Entry> entry)) {
        entry.ifPresent(read -> versionsRead.put(read.value(), read.version()));
      }
    }
  }

  /** Why there is no such order; empty if there is one. */
  static Optional<String> violation(History history) {
    List<Call> calls =
        history.calls().stream().sorted(Comparator.comparingLong(Call::asked)).toList();
    Linearizability search = new Linearizability(calls);
    return search.canPlaceRest(new BitSet(), Map.of())
        ? Optional.empty()
        : Optional.of(
            "%d of %d calls fit, in no order all:\n%s"
                .formatted(
                    search.mostPlaced,
                    calls.size(),
                    calls.stream().map(Call::toString).collect(Collectors.joining("\n"))));
  }

  private boolean canPlaceRest(BitSet placed, Map<String, Entry> state) {
    mostPlaced = Math.max(mostPlaced, placed.cardinality());
    long firstEnd = Long.MAX_VALUE;
    boolean left = false;
    for (int i = placed.nextClearBit(0); i < calls.size(); i = placed.nextClearBit(i + 1)) {
      if (!(calls.get(i).operation() instanceof Operation.Unknown)) {
        left = true;
        firstEnd = Math.min(firstEnd, calls.get(i).told());
      }
    }
    if (!left) {
      return true; // Of what is unknown, none needs to have happened.
    }
    if (hopeless.contains(new Configuration(placed, state))) {
      return false;
    }
    // Only what began before any other had ended can be next.
    for (int i = placed.nextClearBit(0);
        i < calls.size() && calls.get(i).asked() < firstEnd;
        i = placed.nextClearBit(i + 1)) {
      Optional<Map<String, Entry>> after = apply(calls.get(i).operation(), state);
      if (after.isPresent()) {
        BitSet more = (BitSet) placed.clone();
        more.set(i);
        if (canPlaceRest(more, after.get())) {
          return true;
        }
      }
    }
    hopeless.add(new Configuration(placed, state));
    return false;
  }

  /** The state after a call that is answered as it was; empty if it would not be. */
  private Optional<Map<String, Entry>> apply(Operation operation, Map<String, Entry> state) {
    return switch (operation) {
      case Operation.Got(String key, Optional<Entry> entry) ->
          entry.equals(Optional.ofNullable(state.get(key))) ? Optional.of(state) : Optional.empty();
      case Operation.Done(List<Write> writes, long version) ->
          conflicts(writes, state).isEmpty()
              ? Optional.of(written(writes, version, state))
              : Optional.empty();
      case Operation.Refused(List<Write> writes, Set<String> keys) ->
          conflicts(writes, state).equals(keys) ? Optional.of(state) : Optional.empty();
      case Operation.Unknown(List<Write> writes) ->
          conflicts(writes, state).isEmpty()
              ? Optional.of(written(writes, versionRead(writes), state))
              : Optional.empty();
    };
  }

  /** Of a commit whose answer was lost. If nobody read it, nobody can expect its version either. */
  private long versionRead(List<Write> writes) {
    return writes.stream()
        .filter(Write.Put.class::isInstance)
        .map(write -> versionsRead.getOrDefault(((Write.Put) write).value(), NEVER_READ))
        .findAny()
        .orElse(NEVER_READ);
  }

  private static Set<String> conflicts(List<Write> writes, Map<String, Entry> state) {
    return writes.stream()
        .filter(write -> versionOf(state, write.key()) != write.expectedVersion())
        .map(Write::key)
        .collect(Collectors.toSet());
  }

  private static long versionOf(Map<String, Entry> state, String key) {
    Entry entry = state.get(key);
    return entry == null ? Write.ABSENT : entry.version();
  }

  private static Map<String, Entry> written(
      List<Write> writes, long version, Map<String, Entry> state) {
    Map<String, Entry> after = new HashMap<>(state);
    for (Write write : writes) {
      switch (write) {
        case Write.Put put -> {
          Entry before = state.get(put.key());
          long created = before == null ? version : before.createdVersion();
          after.put(put.key(), new Entry(put.key(), put.value(), version, created));
        }
        case Write.Delete delete -> after.remove(delete.key());
        case Write.Unchanged _ -> {}
      }
    }
    return after;
  }
}
