package dev.vireo.controller.store;

import static java.util.Objects.requireNonNull;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.StoreException.Conflict;
import io.etcd.jetcd.api.Compare;
import io.etcd.jetcd.api.DeleteRangeRequest;
import io.etcd.jetcd.api.KeyValue;
import io.etcd.jetcd.api.PutRequest;
import io.etcd.jetcd.api.RangeRequest;
import io.etcd.jetcd.api.RequestOp;
import io.etcd.jetcd.api.TxnRequest;
import io.etcd.jetcd.api.TxnResponse;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/**
 * A commit on its way, from the call until its future is complete.
 *
 * <p>One Txn each time it is tried. It demands the marker's revision, the <em>epoch</em>, and
 * leaves a mark with its number, whether it is done or refused.
 */
final class EtcdCommit {
  private static final String DONE = "done";

  /** What became of the last try, as far as that is known. */
  enum State {
    /** It was not sent, or certainly did nothing. */
    WAITING,
    SENT,
    /** No answer: it may have been done, may not, and may yet be. */
    LOST,
    /** Answered; the watch has not come so far yet. */
    ANSWERED
  }

  private final String number;
  private final List<Write> writes;
  private final CompletableFuture<Long> future = new CompletableFuture<>();
  private final long deadlineNanos;

  private State state = State.WAITING;
  private long epoch;
  private int tries;
  private Set<String> conflicts = Set.of();
  private long revision;

  EtcdCommit(String number, List<Write> writes, long deadlineNanos) {
    this.number = number;
    this.writes = writes;
    this.deadlineNanos = deadlineNanos;
  }

  String number() {
    return number;
  }

  List<Write> writes() {
    return writes;
  }

  CompletableFuture<Long> future() {
    return future;
  }

  long deadlineNanos() {
    return deadlineNanos;
  }

  State state() {
    return state;
  }

  /** How often it has been sent. */
  int tries() {
    return tries;
  }

  /** The epoch that the last try demanded. */
  long epoch() {
    return epoch;
  }

  /** The Txn that does it if the epoch is this. */
  TxnRequest sent(EtcdKeys keys, long epoch, Map<Duration, Long> leases) {
    this.epoch = epoch;
    tries++;
    state = State.SENT;
    TxnRequest.Builder txn = TxnRequest.newBuilder();
    txn.addCompare(isAt(keys.marker(), epoch));
    txn.addFailure(get(keys.marker()));
    for (Write write : writes) {
      ByteString key = keys.data(write.key());
      txn.addCompare(isAt(key, write.expectedVersion()));
      txn.addFailure(get(key));
      operation(key, write, leases).ifPresent(txn::addSuccess);
    }
    txn.addSuccess(put(keys.mark(), ByteString.copyFromUtf8(number + " " + DONE), 0));
    txn.addFailure(put(keys.mark(), ByteString.copyFromUtf8(number + " refused"), 0));
    return txn.build();
  }

  private static Optional<RequestOp> operation(
      ByteString key, Write write, Map<Duration, Long> leases) {
    return switch (write) {
      case Write.Put put -> Optional.of(put(key, put.value(), lease(put.lifetime(), leases)));
      case Write.Delete _ ->
          Optional.of(
              RequestOp.newBuilder()
                  .setRequestDeleteRange(DeleteRangeRequest.newBuilder().setKey(key))
                  .build());
      case Write.Unchanged _ -> Optional.empty();
    };
  }

  private static long lease(Lifetime lifetime, Map<Duration, Long> shared) {
    return switch (lifetime) {
      case Lifetime.Unlimited() -> 0;
      case Lifetime.AtLeast(Duration time) -> requireNonNull(shared.get(time));
      case Lifetime.Leased(Store.Lease lease) -> lease.id();
    };
  }

  boolean hasLease() {
    return writes.stream()
        .anyMatch(
            write -> write instanceof Write.Put put && put.lifetime() instanceof Lifetime.Leased);
  }

  /** To etcd a key that does not exist has the revision 0, as {@link Write#ABSENT} has. */
  private static Compare isAt(ByteString key, long revision) {
    return Compare.newBuilder()
        .setKey(key)
        .setTarget(Compare.CompareTarget.MOD)
        .setResult(Compare.CompareResult.EQUAL)
        .setModRevision(revision)
        .build();
  }

  private static RequestOp put(ByteString key, ByteString value, long lease) {
    return RequestOp.newBuilder()
        .setRequestPut(PutRequest.newBuilder().setKey(key).setValue(value).setLease(lease))
        .build();
  }

  private static RequestOp get(ByteString key) {
    return RequestOp.newBuilder()
        .setRequestRange(RangeRequest.newBuilder().setKey(key).setKeysOnly(true))
        .build();
  }

  /** The last try did nothing, and will not. */
  void mayBeTriedAgain() {
    state = State.WAITING;
  }

  void lost() {
    state = State.LOST;
  }

  /**
   * Takes etcd's answer.
   *
   * @return false if the Txn was refused for its epoch, or could not tell why: try again
   */
  boolean answered(TxnResponse response) {
    revision = response.getHeader().getRevision();
    if (response.getSucceeded()) {
      state = State.ANSWERED;
      return true;
    }
    Set<String> found = new HashSet<>();
    for (int i = 0; i < writes.size(); i++) {
      if (versionIn(response, i + 1) != writes.get(i).expectedVersion()) {
        found.add(writes.get(i).key());
      }
    }
    if (versionIn(response, 0) != epoch) {
      state = State.WAITING;
      return false;
    }
    conflicts = found;
    state = State.ANSWERED;
    return true;
  }

  private static long versionIn(TxnResponse response, int index) {
    List<KeyValue> found = response.getResponses(index).getResponseRange().getKvsList();
    return found.isEmpty() ? Write.ABSENT : found.getFirst().getModRevision();
  }

  /** Whether the answer is known and all of the watchers have been told of what was before it. */
  boolean isSettledAt(long position) {
    return state == State.ANSWERED && revision <= position;
  }

  /** The mark of this commit came by the watch. */
  void marked(String outcome, long at) {
    if (outcome.equals(DONE)) {
      revision = at;
      conflicts = Set.of();
      state = State.ANSWERED;
    }
    // Refused: the answer says why; if it is lost, the commit is tried again.
  }

  void complete() {
    if (conflicts.isEmpty()) {
      future.complete(revision);
    } else {
      future.completeExceptionally(new Conflict(conflicts));
    }
  }
}
