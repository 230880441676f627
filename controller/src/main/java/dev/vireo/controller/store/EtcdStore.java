package dev.vireo.controller.store;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.StoreException.Compacted;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.StoreException.LeaseEnded;
import dev.vireo.controller.store.StoreException.OutcomeUnknown;
import dev.vireo.controller.store.StoreException.TooLarge;
import dev.vireo.controller.store.StoreException.Unavailable;
import dev.vireo.controller.store.StoreException.Unusable;
import dev.vireo.controller.time.TimeSource;
import io.etcd.jetcd.api.CompactionRequest;
import io.etcd.jetcd.api.Compare;
import io.etcd.jetcd.api.Event;
import io.etcd.jetcd.api.KVGrpc;
import io.etcd.jetcd.api.KeyValue;
import io.etcd.jetcd.api.LeaseGrantRequest;
import io.etcd.jetcd.api.LeaseGrpc;
import io.etcd.jetcd.api.PutRequest;
import io.etcd.jetcd.api.RangeRequest;
import io.etcd.jetcd.api.RequestOp;
import io.etcd.jetcd.api.TxnRequest;
import io.etcd.jetcd.api.TxnResponse;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jboss.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * The store in an etcd, which several processes may use at once.
 *
 * <p>A version is etcd's revision. All watchers are fed by one watch of everything under the
 * prefix, and a commit is complete when that watch has come to its revision: each leaves a mark
 * there, even a refused one, and etcd tells of revisions in order.
 *
 * <p><em>A lost answer.</em> Every commit demands that the marker is as old as this store believes.
 * When an answer is lost, the marker is written anew: from that revision on, which the watch also
 * comes to, what had not been done by then never will be. So a commit that left no mark is sent
 * again without harm, and one that did is known to be done. The first try is not waited for for
 * long: what a member passes on to a leader that has been dead for less than two seconds is lost,
 * and it does not say so before 7 s are over. If etcd cannot be reached in time the commit fails,
 * and its outcome is unknown; it can still be done until this store has reached etcd again, and not
 * after the next commit.
 *
 * <p><em>Compaction</em> is ours to ask for, since by default etcd never does it: the newest
 * {@value #REVISIONS} revisions are kept.
 *
 * <p>Everything but the calls of the interface is done on one thread.
 */
public final class EtcdStore implements Store {
  private static final Logger LOG = Logger.getLogger(EtcdStore.class);

  private static final long REVISIONS = 10_000;
  private static final int PAGE = 1_000;
  private static final Duration TICK = Duration.ofMillis(250);

  /** No key has no name, and still less one with a version. */
  private static final Write REFUSED = new Write.Delete("", 1);

  private final EtcdOptions options;
  private final EtcdKeys keys;
  private final EtcdMarker marker;
  private final TimeSource time;
  private final long revisionsKept;
  private final String process = UUID.randomUUID().toString();
  private final ScheduledThreadPoolExecutor thread;
  private final EtcdClient client;
  private final EtcdRetries retries;
  private final EtcdLeases leases;

  // What follows belongs to the store's thread.
  private final Map<String, EtcdCommit> commits = new HashMap<>();
  private final List<EtcdSubscription> subscriptions = new ArrayList<>();
  private EtcdClient.@Nullable Stream stream;
  private long commitsSeen;

  /** The revision up to which every watcher has been told: always one under the prefix. */
  private long position;

  /** The marker's revision. */
  private long epoch;

  /** Of the marker, when it was first written: there is nothing older under the prefix. */
  private long born;

  /** The least that etcd still has, as far as this store knows. */
  private long oldestRevision;

  /** Whether an answer was lost and the marker is being written anew: nothing is sent meanwhile. */
  private boolean fencing;

  /** How long that is waited for now, before it is done again. */
  private Duration fencePatience;

  private boolean compacting;
  private boolean away;
  private @Nullable StoreException broken;

  private volatile boolean closing;

  private EtcdStore(EtcdOptions options, TimeSource time, long revisionsKept) {
    this.options = options;
    this.keys = new EtcdKeys(options.prefix());
    this.marker = new EtcdMarker(EtcdKeys.FORMAT, options.cluster());
    this.time = time;
    this.revisionsKept = revisionsKept;
    this.thread = new ScheduledThreadPoolExecutor(1, Thread.ofPlatform().name("store").factory());
    this.client = new EtcdClient(options, thread);
    this.retries = new EtcdRetries(client, options, time, thread);
    this.leases = new EtcdLeases(client, time, options.timeout());
    this.fencePatience = options.timeout();
  }

  /**
   * Opens the store, and makes it if there is nothing under the prefix.
   *
   * @throws StoreException.Unusable when what is there is not Vireo's, another cluster's, or of a
   *     newer release
   * @throws StoreException.Unavailable when etcd cannot be reached in time or does not let us in
   */
  public static EtcdStore open(EtcdOptions options, TimeSource time) {
    return open(options, time, REVISIONS);
  }

  static EtcdStore open(EtcdOptions options, TimeSource time, long revisionsKept) {
    EtcdStore store = new EtcdStore(options, time, revisionsKept);
    try {
      store.begin();
      return store;
    } catch (StoreException e) {
      store.end();
      throw e;
    }
  }

  private void begin() {
    CompletableFuture<Void> begun = new CompletableFuture<>();
    onThread(
        begun, () -> pass(claim().thenCompose(_ -> findOldest()).thenRun(this::follow), begun));
    Store.await(begun);
    Future<?> _ =
        thread.scheduleWithFixedDelay(this::tick, TICK.toMillis(), TICK.toMillis(), MILLISECONDS);
  }

  /** For tests: the watch breaks, and is not begun again until {@link #reconnect}. */
  void cutOff() {
    CompletableFuture<Void> done = new CompletableFuture<>();
    onThread(
        done,
        () -> {
          if (stream != null) {
            stream.close();
          }
          done.complete(null);
        });
    done.join();
  }

  void reconnect() {
    thread.execute(this::follow);
  }

  // ---- the interface

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    List<Write> all = List.copyOf(writes);
    CompletableFuture<Long> done = new CompletableFuture<>();
    onThread(done, () -> admit(all, done));
    return done;
  }

  /** By a commit that is refused in any case, see "a lost answer". */
  @Override
  public CompletableFuture<Void> barrier() {
    CompletableFuture<Void> passed = new CompletableFuture<>();
    CompletableFuture<?> _ =
        commit(List.of(REFUSED))
            .whenComplete((_, error) -> {
              if (error instanceof Conflict) {
                passed.complete(null);
              } else if (error instanceof OutcomeUnknown lost) {
                passed.completeExceptionally(new Unavailable(lost.getMessage(), lost));
              } else {
                passed.completeExceptionally(error);
              }
            });
    return passed;
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    CompletableFuture<Optional<Entry>> answer = new CompletableFuture<>();
    RangeRequest request = RangeRequest.newBuilder().setKey(keys.data(key)).build();
    onThread(
        answer,
        () ->
            pass(
                retries
                    .range(request, retries.deadline())
                    .thenApply(found -> found.getKvsList().stream().findFirst().map(keys::entry)),
                answer));
    return answer;
  }

  @Override
  public CompletableFuture<Listing> list(String prefix) {
    CompletableFuture<Listing> answer = new CompletableFuture<>();
    onThread(answer, () -> pass(listAt(prefix, 0), answer));
    return answer;
  }

  @Override
  public CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher) {
    CompletableFuture<Watch> answer = new CompletableFuture<>();
    onThread(answer, () -> subscribe(prefix, afterVersion, watcher, answer));
    return answer;
  }

  @Override
  public CompletableFuture<Lease> lease(Duration lasting) {
    CompletableFuture<Lease> answer = new CompletableFuture<>();
    LeaseGrantRequest request =
        LeaseGrantRequest.newBuilder().setTTL(EtcdLeases.seconds(lasting)).build();
    onThread(
        answer,
        () ->
            pass(
                retries
                    .call(LeaseGrpc.getLeaseGrantMethod(), request, retries.deadline())
                    .thenApply(granted ->
                        new EtcdLease(granted.getID(), lasting, client, retries, this::onThread)),
                answer));
    return answer;
  }

  @Override
  public void close() {
    CompletableFuture<Void> done = new CompletableFuture<>();
    onThread(
        done,
        () -> {
          closing = true;
          retries.end();
          List<CompletableFuture<Long>> left =
              commits.values().stream().map(EtcdCommit::future).toList();
          CompletableFuture<?> _ =
              CompletableFuture.allOf(left.toArray(CompletableFuture<?>[]::new))
                  .whenComplete((_, _) -> done.complete(null));
        });
    done.exceptionally(_ -> null).join();
    end();
  }

  private void end() {
    closing = true;
    retries.end();
    client.close();
    thread.shutdown();
    boolean interrupted = false;
    while (!thread.isTerminated()) {
      try {
        thread.awaitTermination(1, TimeUnit.SECONDS);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void onThread(CompletableFuture<?> answer, Runnable work) {
    try {
      thread.execute(() -> {
        if (broken != null) {
          answer.completeExceptionally(broken);
        } else if (closing) {
          answer.completeExceptionally(closed());
        } else {
          work.run();
        }
      });
    } catch (RejectedExecutionException e) {
      answer.completeExceptionally(closed());
    }
  }

  private static OutcomeUnknown unknown(String why) {
    return new OutcomeUnknown(why + "; whether the commit was done is not known");
  }

  private static Unavailable closed() {
    return new Unavailable("the store is closed", null);
  }

  // ---- the marker

  /** Writes the marker, anew if it is there, and begins from that revision. */
  private CompletableFuture<Void> claim() {
    long deadline = retries.deadline();
    RangeRequest ours =
        RangeRequest.newBuilder()
            .setKey(keys.all())
            .setRangeEnd(EtcdKeys.endOf(keys.all()))
            .setLimit(1)
            .build();
    // In the order of keys the marker, "cluster", is the first of all.
    return retries
        .range(ours, deadline)
        .thenCompose(found -> {
          if (found.getKvsCount() > 0) {
            KeyValue first = found.getKvs(0);
            marker.check(
                first.getKey().equals(keys.marker()) ? first.getValue() : ByteString.EMPTY,
                options);
          }
          return retries.call(KVGrpc.getTxnMethod(), claim(found.getKvsCount() == 0), deadline);
        })
        .thenCompose(answer -> {
          if (!answer.getSucceeded()) {
            return claim(); // Somebody else was quicker: look what they wrote.
          }
          long revision = answer.getHeader().getRevision();
          born = answer.getResponses(1).getResponseRange().getKvs(0).getCreateRevision();
          epoch = revision;
          position = revision;
          return CompletableFuture.completedFuture(null);
        });
  }

  private TxnRequest claim(boolean create) {
    Compare.Builder unchanged = Compare.newBuilder().setKey(keys.marker());
    if (create) {
      unchanged.setTarget(Compare.CompareTarget.CREATE).setCreateRevision(0);
    } else {
      unchanged.setTarget(Compare.CompareTarget.VALUE).setValue(marker.bytes());
    }
    return TxnRequest.newBuilder()
        .addCompare(unchanged)
        .addSuccess(
            RequestOp.newBuilder()
                .setRequestPut(
                    PutRequest.newBuilder().setKey(keys.marker()).setValue(marker.bytes())))
        .addSuccess(getMarker())
        .addFailure(getMarker())
        .build();
  }

  private RequestOp getMarker() {
    return RequestOp.newBuilder()
        .setRequestRange(RangeRequest.newBuilder().setKey(keys.marker()))
        .build();
  }

  /** What was sent with the present epoch is done before the marker is written anew, or never. */
  private void fence() {
    if (!fencing) {
      fencing = true;
      fencePatience = options.timeout().dividedBy(10);
      LOG.debugf("an answer of etcd was lost: writing the marker anew");
      sendFence();
    }
  }

  private void sendFence() {
    if (!fencing || broken != null) {
      return;
    }
    CompletableFuture<?> _ =
        client
            .call(KVGrpc.getTxnMethod(), claim(false), fencePatience)
            .whenComplete((answer, error) -> {
              if (error != null) {
                Duration longer = fencePatience.multipliedBy(3).dividedBy(2);
                fencePatience = shorter(longer, retries.attempt());
                retries.later(this::sendFence);
              } else if (!answer.getSucceeded()) {
                foreignMarker(answer);
              }
              // Else the watch will tell, when it has come so far.
            });
  }

  private void foreignMarker(TxnResponse answer) {
    List<KeyValue> found = answer.getResponses(0).getResponseRange().getKvsList();
    breakDown(found.isEmpty() ? ByteString.EMPTY : found.getFirst().getValue());
  }

  /** The marker is no longer ours: whatever this store does next may destroy another's data. */
  private void breakDown(ByteString found) {
    StoreException reason;
    try {
      marker.check(found, options);
      return;
    } catch (Unusable e) {
      reason = e;
    }
    LOG.errorf("store: %s", reason.getMessage());
    broken = reason;
    List<EtcdCommit> left = List.copyOf(commits.values());
    commits.clear();
    left.forEach(commit -> commit.future().completeExceptionally(reason));
  }

  // ---- commits

  private void admit(List<Write> writes, CompletableFuture<Long> done) {
    Optional<TooLarge> tooLarge = TooLarge.check(writes);
    if (tooLarge.isPresent()) {
      done.completeExceptionally(tooLarge.get());
      return;
    }
    EtcdCommit commit = new EtcdCommit(process + " " + commitsSeen++, writes, retries.deadline());
    commits.put(commit.number(), commit);
    pass(commit.future(), done);
    send(commit);
  }

  private void send(EtcdCommit commit) {
    if (!maySend(commit)) {
      return;
    }
    CompletableFuture<?> _ =
        leases
            .grant(commit.writes())
            .whenComplete((ids, error) -> {
              if (error != null) {
                retries.later(() -> send(commit));
              } else if (maySend(commit)) {
                CompletableFuture<?> _ =
                    client
                        .call(
                            KVGrpc.getTxnMethod(),
                            commit.sent(keys, epoch, ids),
                            commit.tries() == 1 ? retries.firstAttempt() : retries.attempt())
                        .whenComplete((answer, failure) -> answered(commit, answer, failure));
              }
            });
  }

  private boolean maySend(EtcdCommit commit) {
    return !fencing && commit.state() == EtcdCommit.State.WAITING && !commit.future().isDone();
  }

  private void answered(
      EtcdCommit commit, @Nullable TxnResponse answer, @Nullable Throwable failure) {
    if (commit.future().isDone() || commit.state() != EtcdCommit.State.SENT) {
      return; // It is known by its mark.
    }
    if (answer == null) {
      failed(commit, Status.fromThrowable(failure));
    } else if (commit.answered(answer)) {
      settle(commit);
    } else {
      refusedForItsEpoch(commit, answer);
    }
  }

  private void refusedForItsEpoch(EtcdCommit commit, TxnResponse answer) {
    List<KeyValue> found = answer.getResponses(0).getResponseRange().getKvsList();
    if (found.isEmpty()) {
      breakDown(ByteString.EMPTY);
    } else {
      // Another store has written it anew, and our watch will say so.
      epoch = Math.max(epoch, found.getFirst().getModRevision());
      send(commit);
    }
  }

  private void failed(EtcdCommit commit, Status status) {
    switch (EtcdFailure.of(status)) {
      case EtcdFailure.Rejected(StoreException why) -> {
        commits.remove(commit.number());
        commit.future().completeExceptionally(why);
      }
      case EtcdFailure.LeaseGone _ when commit.hasLease() -> {
        commits.remove(commit.number());
        commit.future().completeExceptionally(new LeaseEnded());
      }
      case EtcdFailure.LeaseGone _ -> {
        leases.forget();
        commit.mayBeTriedAgain();
        send(commit);
      }
      case EtcdFailure.NotDone _ -> {
        commit.mayBeTriedAgain();
        retries.later(() -> send(commit));
      }
      case EtcdFailure.Unknown _ -> {
        commit.lost();
        fence();
      }
    }
  }

  private void settle(EtcdCommit commit) {
    if (commit.isSettledAt(position)) {
      commits.remove(commit.number());
      commit.complete();
    }
  }

  /** Ends what has waited too long. */
  private void tick() {
    long now = time.nanoTime();
    List<EtcdCommit> late =
        commits.values().stream().filter(commit -> commit.deadlineNanos() - now < 0).toList();
    for (EtcdCommit commit : late) {
      commits.remove(commit.number());
      boolean untouched = commit.state() == EtcdCommit.State.WAITING;
      String why =
          "etcd at %s has not answered for %d s"
              .formatted(options.place(), options.timeout().toSeconds());
      commit.future().completeExceptionally(untouched ? new Unavailable(why, null) : unknown(why));
      if (commit.state() == EtcdCommit.State.SENT) {
        fence();
      }
    }
  }

  // ---- the watch of everything

  private void follow() {
    if (broken == null && !closing) {
      stream = client.watch(keys.all(), position + 1, new Everything());
    }
  }

  private final class Everything implements EtcdClient.Events {
    @Override
    public void onEvents(List<Event> events) {
      if (away) {
        away = false;
        LOG.info("store: etcd is back");
      }
      publish(events);
    }

    @Override
    public void onCompacted(long oldest) {
      stream = null;
      oldestRevision = Math.max(oldestRevision, oldest);
      startOver();
    }

    @Override
    public void onEnd(Status why) {
      stream = null;
      if (!away && !closing) {
        away = true;
        LOG.warnf("store: %s", retries.unreachable(why).getMessage());
      }
      retries.later(EtcdStore.this::follow);
    }
  }

  private void publish(List<Event> events) {
    List<Change> changes = new ArrayList<>();
    List<KeyValue> marks = new ArrayList<>();
    @Nullable Event markerEvent = null;
    for (Event event : events) {
      ByteString key = event.getKv().getKey();
      if (keys.isData(key)) {
        changes.add(keys.change(event));
      } else if (key.equals(keys.mark())) {
        marks.add(event.getKv());
      } else if (key.equals(keys.marker())) {
        markerEvent = event;
      }
    }
    position = events.getLast().getKv().getModRevision();
    if (!changes.isEmpty()) {
      List.copyOf(subscriptions).forEach(subscription -> subscription.tell(changes));
    }
    marks.forEach(this::marked);
    if (markerEvent != null) {
      newEpoch(markerEvent);
    }
    compactIfDue();
  }

  private void marked(KeyValue mark) {
    String text = mark.getValue().toStringUtf8();
    int end = text.lastIndexOf(' ');
    EtcdCommit commit = commits.get(text.substring(0, end));
    if (commit != null) {
      commit.marked(text.substring(end + 1), mark.getModRevision());
      settle(commit);
    }
  }

  private void newEpoch(Event event) {
    if (event.getType() == Event.EventType.DELETE
        || !event.getKv().getValue().equals(marker.bytes())) {
      breakDown(event.getKv().getValue());
      return;
    }
    epoch = Math.max(epoch, event.getKv().getModRevision());
    fencing = false;
    for (EtcdCommit commit : List.copyOf(commits.values())) {
      // Had the lost one been done, its mark would have come before.
      if (commit.state() == EtcdCommit.State.LOST && commit.epoch() < epoch) {
        commit.mayBeTriedAgain();
      }
      if (commit.state() == EtcdCommit.State.WAITING) {
        send(commit);
      }
    }
  }

  /** The watch was away for so long that its place is forgotten: every watcher is given all. */
  private void startOver() {
    LOG.warn("store: etcd has forgotten what changed meanwhile: reading everything");
    CompletableFuture<?> _ =
        claim()
            .thenCompose(_ -> listAt("", position))
            .whenComplete((listing, error) -> {
              if (error != null) {
                retries.later(this::startOver);
                return;
              }
              List.copyOf(subscriptions).forEach(subscription -> subscription.startOver(listing));
              fencing = false;
              List.copyOf(commits.values()).forEach(this::afterStartingOver);
              follow();
            });
  }

  private void afterStartingOver(EtcdCommit commit) {
    switch (commit.state()) {
      case ANSWERED -> settle(commit);
      case WAITING -> send(commit);
      // Its mark may have been among what is forgotten.
      case SENT, LOST -> {
        commits.remove(commit.number());
        commit.future().completeExceptionally(unknown("etcd's answer was lost"));
      }
    }
  }

  // ---- subscriptions

  private void subscribe(
      String prefix, long afterVersion, Watcher watcher, CompletableFuture<Watch> answer) {
    if (isForgotten(afterVersion)) {
      answer.completeExceptionally(new Compacted(afterVersion, oldestRevision));
      return;
    }
    EtcdSubscription subscription =
        new EtcdSubscription(prefix, watcher, answer, new Subscribed(), client, keys, retries);
    subscriptions.add(subscription);
    subscription.catchUp(Math.max(afterVersion, born - 1), position);
  }

  /** Whether etcd no longer has a change after this version; before the marker there are none. */
  private boolean isForgotten(long afterVersion) {
    return afterVersion < oldestRevision && oldestRevision > born;
  }

  /** The least version that a watch can begin after. */
  private long oldestVersion() {
    return oldestRevision > born ? oldestRevision : 0;
  }

  private final class Subscribed implements EtcdSubscription.Owner {
    @Override
    public void compacted(long oldest) {
      oldestRevision = Math.max(oldestRevision, oldest);
    }

    @Override
    public void failed(EtcdSubscription subscription) {
      subscriptions.remove(subscription);
    }

    @Override
    public void closed(EtcdSubscription subscription) {
      onThread(new CompletableFuture<>(), () -> subscriptions.remove(subscription));
    }
  }

  // ---- reading

  /**
   * All under a prefix, by pages of one revision.
   *
   * @param revision 0: the present one
   */
  private CompletableFuture<Listing> listAt(String prefix, long revision) {
    ByteString first = keys.data(prefix);
    return page(first, EtcdKeys.endOf(first), revision, new ArrayList<>(), retries.deadline());
  }

  private CompletableFuture<Listing> page(
      ByteString from, ByteString end, long revision, List<Entry> entries, long deadline) {
    RangeRequest request =
        RangeRequest.newBuilder()
            .setKey(from)
            .setRangeEnd(end)
            .setRevision(revision)
            .setLimit(PAGE)
            .build();
    return retries
        .range(request, deadline)
        .thenCompose(found -> {
          found.getKvsList().forEach(one -> entries.add(keys.entry(one)));
          long at = revision == 0 ? found.getHeader().getRevision() : revision;
          if (!found.getMore()) {
            return CompletableFuture.completedFuture(new Listing(entries, at, oldestVersion()));
          }
          ByteString last = found.getKvs(found.getKvsCount() - 1).getKey();
          ByteString next = last.concat(ByteString.copyFrom(new byte[1]));
          return page(next, end, at, entries, deadline);
        });
  }

  // ---- compaction

  private CompletableFuture<Void> findOldest() {
    CompletableFuture<Void> found = new CompletableFuture<>();
    client.watch(
        keys.marker(),
        1,
        new EtcdClient.Events() {
          @Override
          public void onEvents(List<Event> events) {
            found.complete(null);
          }

          @Override
          public void onCompacted(long oldest) {
            oldestRevision = Math.max(oldestRevision, oldest);
            found.complete(null);
          }

          @Override
          public void onEnd(Status why) {
            found.completeExceptionally(retries.unreachable(why));
          }
        });
    return found;
  }

  /** With some slack, so that this is not done for each commit. */
  private void compactIfDue() {
    long cut = position - revisionsKept;
    if (compacting || cut - Math.max(oldestRevision, born) < revisionsKept / 10) {
      return;
    }
    compacting = true;
    CompletableFuture<?> _ =
        client
            .call(
                KVGrpc.getCompactMethod(),
                CompactionRequest.newBuilder().setRevision(cut).build(),
                retries.attempt())
            .whenComplete((_, error) -> {
              compacting = false;
              // Out of range: somebody else has compacted already, to there at least.
              if (error == null
                  || Status.fromThrowable(error).getCode() == Status.Code.OUT_OF_RANGE) {
                oldestRevision = Math.max(oldestRevision, cut);
              } else {
                LOG.warnf("store: etcd did not compact: %s", error.getMessage());
              }
            });
  }

  // ---- small words

  private static Duration shorter(Duration one, Duration other) {
    return one.compareTo(other) < 0 ? one : other;
  }

  private static <T> void pass(CompletableFuture<T> from, CompletableFuture<T> to) {
    CompletableFuture<?> _ =
        from.whenComplete((value, error) -> {
          if (error == null) {
            to.complete(value);
          } else {
            to.completeExceptionally(StoreException.causeOf(error));
          }
        });
  }
}
