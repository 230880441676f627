package dev.vireo.sim.store;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.Write;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.kernel.TaskQueue;
import dev.vireo.sim.network.Cable;
import dev.vireo.sim.network.Link;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * One of several processes' store in an etcd, by the rules of {@link
 * dev.vireo.controller.store.EtcdStore}: requests overtake each other, one watch feeds all
 * watchers, and a commit is complete when that watch has come to its mark. A commit whose answer
 * was lost is sent again once it is certain that it was not done; one that could not be found out
 * about in time fails, and may be done until this store has reached etcd again.
 *
 * <p>Everything but the calls of the interface is done on one thread.
 */
public final class SimEtcdStore implements Store {
  private static final Duration TIMEOUT = Duration.ofSeconds(10);
  private static final Duration ATTEMPT = Duration.ofSeconds(5);
  private static final Duration FIRST_ATTEMPT = Duration.ofSeconds(2);
  private static final Duration FIRST_FENCE = Duration.ofSeconds(1);
  private static final Duration RETRY = Duration.ofMillis(200);
  private static final Write REFUSED = new Write.Delete("", 1);
  private static final long NOTICED_QUICKLY_NANOS = 50_000_000;
  private static final long NOTICED_LATE_NANOS = 9_000_000_000L;

  private final SimEtcd etcd;
  private final SimProcess process;
  private final Simulation simulation;
  private final Cable cable;
  private final Link link;
  private final RandomGenerator random;
  private final TaskQueue thread;

  private final Map<Long, Commit> commits = new LinkedHashMap<>();
  private final List<Subscription> subscriptions = new ArrayList<>();
  private @Nullable Connection connection;
  private Duration lag = Duration.ZERO;
  private Optional<Runnable> beforeNextCommit = Optional.empty();
  private long lastNumber;

  /** The event up to which every watcher has been told, and the version as of it. */
  private long position;

  private long version;
  private long epoch;

  /** An answer was lost, and it is being made certain what can no longer be done. */
  private boolean fencing;

  /** From here on there is a place in the events to go on from. */
  private boolean open;

  /** That place is forgotten, and another is being read. Nobody is told of events meanwhile. */
  private boolean startingOver;

  private enum State {
    WAITING,
    SENT,
    ANSWERED,
    LOST
  }

  private static final class Commit {
    private final long number;
    private final List<Write> writes;
    private final CompletableFuture<Long> future = new CompletableFuture<>();
    private State state = State.WAITING;
    private int tries;
    private Optional<SimEtcd.Outcome> outcome = Optional.empty();

    Commit(long number, List<Write> writes) {
      this.number = number;
      this.writes = writes;
    }

    void end(SimEtcd.Outcome ended) {
      switch (ended) {
        case SimEtcd.Outcome.Done(long version) -> future.complete(version);
        case SimEtcd.Outcome.Refused(var conflict) -> future.completeExceptionally(conflict);
        case SimEtcd.Outcome.Fenced() -> throw new IllegalStateException("nobody waits for it");
      }
    }
  }

  /** A request got no answer. */
  private static final class NoAnswer extends Exception {
    private static final long serialVersionUID = 1L;
  }

  /**
   * @param cable to etcd
   */
  public SimEtcdStore(SimEtcd etcd, SimProcess process, Cable cable, RandomGenerator random) {
    this.etcd = etcd;
    this.process = process;
    this.simulation = process.simulation();
    this.cable = cable;
    this.random = random;
    this.link = new Link(random);
    this.thread = new TaskQueue(process);
  }

  /**
   * Begins. Blocks until etcd has answered.
   *
   * @throws StoreException.Unavailable if it does not in time
   */
  public void open() {
    CompletableFuture<Void> begun = new CompletableFuture<>();
    thread.execute(() -> {
      connect();
      var _ =
          retried(() -> etcd.startOver(this, epoch))
              .whenComplete((all, error) -> {
                if (error == null) {
                  position = all.sequence();
                  version = all.listing().version();
                  open = true;
                  follow();
                  begun.complete(null);
                } else {
                  begun.completeExceptionally(error);
                }
              });
    });
    Store.await(begun);
  }

  SimProcess process() {
    return process;
  }

  /** How much later than they need watchers are told of changes. */
  public void setLag(Duration lag) {
    this.lag = lag;
  }

  /** Has something happen once: when a commit has been decided on, and has not been sent. */
  public void beforeNextCommit(Runnable action) {
    beforeNextCommit = Optional.of(action);
  }

  // ---- the interface

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    Commit commit = new Commit(++lastNumber, List.copyOf(writes));
    Optional<Runnable> before = beforeNextCommit;
    beforeNextCommit = Optional.empty();
    before.ifPresent(Runnable::run);
    thread.execute(() -> {
      commits.put(commit.number, commit);
      later(TIMEOUT, () -> late(commit));
      send(commit);
    });
    return commit.future;
  }

  @Override
  public CompletableFuture<Void> barrier() {
    CompletableFuture<Void> passed = new CompletableFuture<>();
    var _ =
        commit(List.of(REFUSED))
            .whenComplete((_, error) -> {
              if (error instanceof StoreException.Conflict) {
                passed.complete(null);
              } else if (error instanceof StoreException.OutcomeUnknown) {
                passed.completeExceptionally(unreachable());
              } else {
                passed.completeExceptionally(error);
              }
            });
    return passed;
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    return onThread(() -> retried(() -> etcd.disk().get(key)));
  }

  @Override
  public CompletableFuture<Listing> list(String prefix) {
    return onThread(() -> retried(() -> etcd.disk().list(prefix)));
  }

  @Override
  public CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher) {
    return onThread(() -> {
      Subscription subscription = new Subscription(prefix, watcher, afterVersion);
      subscriptions.add(subscription);
      subscription.catchUp();
      return subscription.begun;
    });
  }

  @Override
  public CompletableFuture<Lease> lease(Duration time) {
    return onThread(() -> retried(() -> etcd.grant(time)).thenApply(id -> new Granted(id, time)));
  }

  private final class Granted implements Lease {
    private final long id;
    private final Duration time;

    Granted(long id, Duration time) {
      this.id = id;
      this.time = time;
    }

    @Override
    public long id() {
      return id;
    }

    @Override
    public CompletableFuture<Void> keepAlive() {
      Duration third = time.dividedBy(3);
      CompletableFuture<Void> answer = new CompletableFuture<>();
      thread.execute(() -> {
        var _ =
            attempt(
                    () -> {
                      etcd.keepAlive(id);
                      return id;
                    },
                    third.compareTo(ATTEMPT) < 0 ? third : ATTEMPT)
                .whenComplete((_, error) -> {
                  if (error == null) {
                    answer.complete(null);
                  } else {
                    answer.completeExceptionally(
                        error instanceof StoreException ? error : unreachable());
                  }
                });
      });
      return answer;
    }

    @Override
    public CompletableFuture<Void> end() {
      return onThread(() ->
          retried(
                  () -> {
                    etcd.end(id);
                    return id;
                  })
              .thenApply(_ -> null));
    }
  }

  @Override
  public void close() {
    throw new UnsupportedOperationException("processes here do not end in order");
  }

  private <T> CompletableFuture<T> onThread(Supplier<CompletableFuture<T>> work) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    thread.execute(() -> pass(work.get(), answer));
    return answer;
  }

  /** Errors as they are. */
  private static <T> void pass(CompletableFuture<T> from, CompletableFuture<T> to) {
    var _ =
        from.whenComplete((value, error) -> {
          if (error == null) {
            to.complete(value);
          } else {
            to.completeExceptionally(StoreException.causeOf(error));
          }
        });
  }

  // ---- commits

  private void send(Commit commit) {
    if (fencing || commit.state != State.WAITING || commit.future.isDone()) {
      return;
    }
    if (connection == null) {
      later(RETRY, () -> send(commit));
      return;
    }
    commit.state = State.SENT;
    long sentIn = epoch;
    var _ =
        attempt(
                () -> {
                  process.say("commit of " + commit.writes.stream().map(Write::key).toList());
                  return etcd.commit(this, commit.number, sentIn, commit.writes);
                },
                commit.tries++ == 0 ? FIRST_ATTEMPT : ATTEMPT)
            .whenComplete((outcome, error) -> answered(commit, outcome, error));
  }

  private void answered(
      Commit commit, SimEtcd.@Nullable Outcome outcome, @Nullable Throwable error) {
    if (commit.future.isDone() || commit.state != State.SENT) {
      return; // It is known by its mark, or is being found out about.
    }
    if (error instanceof StoreException) {
      commits.remove(commit.number);
      commit.future.completeExceptionally(error);
    } else if (outcome instanceof SimEtcd.Outcome.Fenced) {
      commit.state = State.WAITING;
      send(commit);
    } else if (outcome == null || isLost()) {
      commit.state = State.LOST;
      fence();
    } else {
      commit.state = State.ANSWERED;
      commit.outcome = Optional.of(outcome);
    }
  }

  private boolean isLost() {
    return random.nextDouble() < etcd.disk().answersLost();
  }

  private void late(Commit commit) {
    if (commit.future.isDone()) {
      return;
    }
    commits.remove(commit.number);
    String why = "etcd has not answered for %d s".formatted(TIMEOUT.toSeconds());
    commit.future.completeExceptionally(
        commit.state == State.WAITING
            ? StoreException.unavailable(why)
            : StoreException.outcomeUnknown(why));
    if (commit.state == State.SENT) {
      fence();
    }
  }

  private void fence() {
    if (!fencing) {
      fencing = true;
      epoch++;
      sendFence(epoch, FIRST_FENCE);
    }
  }

  private void sendFence(long of, Duration patience) {
    if (!fencing || of != epoch) {
      return;
    }
    var _ =
        attempt(
                () -> {
                  etcd.fence(this, of);
                  return of;
                },
                patience)
            .whenComplete((_, error) -> {
              if (error != null) {
                Duration longer = patience.multipliedBy(3).dividedBy(2);
                Duration next = longer.compareTo(ATTEMPT) < 0 ? longer : ATTEMPT;
                later(RETRY, () -> sendFence(of, next));
              }
              // Else the watch will tell, when it has come so far.
            });
  }

  // ---- the watch of everything

  private final class Connection implements SimEtcd.Stream {
    private final Set<Runnable> unanswered = new LinkedHashSet<>();
    private final Runnable cut = this::cut;
    private long lastArrivalNanos;
    private boolean isCut;

    @Override
    public void happened(SimEtcd.Event event) {
      long now = simulation.nanos();
      lastArrivalNanos = Math.max(lastArrivalNanos, now + link.delay().toNanos() + lag.toNanos());
      var _ =
          simulation.after(
              Duration.ofNanos(lastArrivalNanos - now),
              () -> {
                if (!isCut) {
                  thread.execute(() -> SimEtcdStore.this.happened(event));
                }
              });
    }

    private void cut() {
      isCut = true;
      etcd.leave(this);
      long most = random.nextBoolean() ? NOTICED_QUICKLY_NANOS : NOTICED_LATE_NANOS;
      var _ =
          simulation.after(
              Duration.ofNanos(random.nextLong(most)), () -> thread.execute(this::notice));
    }

    private void notice() {
      process.say("the connection to etcd is gone");
      connection = null;
      List.copyOf(unanswered).forEach(Runnable::run);
      reconnect();
    }

    private void end() {
      isCut = true;
      cable.drop(cut);
      etcd.leave(this);
    }
  }

  private void connect() {
    Connection opened = new Connection();
    connection = opened;
    cable.carry(opened.cut);
    process.onKill(opened::end);
    if (!cable.isUp()) {
      cable.drop(opened.cut);
      opened.cut();
    }
  }

  private void reconnect() {
    if (cable.isUp()) {
      connect();
      follow();
    } else {
      later(RETRY, this::reconnect);
    }
  }

  private void follow() {
    Connection current = connection;
    if (current == null || !open || startingOver) {
      return; // It will be, when there is one, and a place to go on from.
    }
    long after = position;
    var _ =
        simulation.after(
            link.delay(),
            () -> {
              if (current.isCut) {
                return;
              }
              try {
                etcd.follow(after, current);
              } catch (StoreException.Compacted e) {
                thread.execute(this::startOver);
              }
            });
  }

  private void happened(SimEtcd.Event event) {
    if (event.sequence() <= position) {
      return;
    }
    position = event.sequence();
    version = event.version();
    if (!event.changes().isEmpty()) {
      List.copyOf(subscriptions).forEach(subscription -> subscription.tell(event.changes()));
    }
    event.mark().filter(mark -> mark.store().equals(this)).ifPresent(this::marked);
  }

  private void marked(SimEtcd.Mark mark) {
    switch (mark) {
      case SimEtcd.Mark.Commit(_, long number, SimEtcd.Outcome outcome) -> {
        Commit commit = commits.remove(number);
        if (commit != null) {
          commit.end(outcome);
        }
      }
      case SimEtcd.Mark.Fence(_, long fenced) -> {
        if (fencing && fenced == epoch) {
          fencing = false;
          sendAll();
        }
      }
    }
  }

  private void sendAll() {
    for (Commit commit : List.copyOf(commits.values())) {
      if (commit.state == State.LOST) {
        commit.state = State.WAITING; // Had it been done, its mark would have come before.
      }
      send(commit);
    }
  }

  /** Its place in the events is forgotten: every watcher is given all. */
  private void startOver() {
    if (startingOver) {
      return;
    }
    process.say("etcd has forgotten what changed meanwhile");
    startingOver = true;
    fencing = true;
    epoch++;
    readAll(epoch);
  }

  private void readAll(long of) {
    var _ =
        attempt(() -> etcd.startOver(this, of), ATTEMPT)
            .whenComplete((all, error) -> {
              if (error == null) {
                startFrom(all);
              } else {
                later(RETRY, () -> readAll(of));
              }
            });
  }

  private void startFrom(SimEtcd.Snapshot all) {
    position = all.sequence();
    version = all.listing().version();
    List.copyOf(subscriptions).forEach(subscription -> subscription.startOver(all.listing()));
    startingOver = false;
    fencing = false;
    for (Commit commit : List.copyOf(commits.values())) {
      switch (commit.state) {
        case ANSWERED -> {
          commits.remove(commit.number);
          commit.outcome.ifPresent(commit::end);
        }
        case WAITING -> send(commit);
        case SENT, LOST -> {
          commits.remove(commit.number);
          commit.future.completeExceptionally(
              StoreException.outcomeUnknown("etcd's answer was lost"));
        }
      }
    }
    follow();
  }

  // ---- subscriptions

  private final class Subscription implements Watch {
    private final String prefix;
    private final Watcher watcher;
    private final CompletableFuture<Watch> begun = new CompletableFuture<>();
    private final List<Change> meanwhile = new ArrayList<>();
    private long told;

    Subscription(String prefix, Watcher watcher, long afterVersion) {
      this.prefix = prefix;
      this.watcher = watcher;
      this.told = afterVersion;
    }

    void catchUp() {
      long target = version;
      if (told >= target) {
        begun.complete(this);
        return;
      }
      var _ =
          retried(() -> etcd.disk().changesAfter(prefix, told))
              .whenComplete((missed, error) -> {
                if (begun.isDone()) {
                  return; // It was given all there is meanwhile.
                }
                if (error != null) {
                  subscriptions.remove(this);
                  begun.completeExceptionally(error);
                  return;
                }
                tellAll(missed.stream().filter(change -> change.version() <= target).toList());
                tellAll(meanwhile);
                meanwhile.clear();
                begun.complete(this);
              });
    }

    private void tellAll(List<Change> changes) {
      if (!changes.isEmpty()) {
        watcher.onChanges(List.copyOf(changes));
      }
    }

    void tell(List<Change> changes) {
      List<Change> ours =
          changes.stream()
              .filter(change -> change.key().startsWith(prefix) && change.version() > told)
              .toList();
      if (begun.isDone()) {
        tellAll(ours);
      } else {
        meanwhile.addAll(ours);
      }
    }

    void startOver(Listing all) {
      meanwhile.clear();
      told = all.version();
      watcher.onListing(
          new Listing(
              all.entries().stream().filter(entry -> entry.key().startsWith(prefix)).toList(),
              all.version(),
              all.oldestVersion()));
      begun.complete(this);
    }

    @Override
    public void close() {
      thread.execute(() -> subscriptions.remove(this));
    }
  }

  // ---- requests

  /** For what does no harm when it is done twice. */
  private <T> CompletableFuture<T> retried(Supplier<T> atEtcd) {
    CompletableFuture<T> done = new CompletableFuture<>();
    long end = simulation.nanos() + TIMEOUT.toNanos();
    retry(atEtcd, end, done);
    return done;
  }

  private <T> void retry(Supplier<T> atEtcd, long end, CompletableFuture<T> done) {
    var _ =
        attempt(atEtcd, ATTEMPT)
            .whenComplete((value, error) -> {
              if (error == null) {
                done.complete(value);
              } else if (error instanceof StoreException) {
                done.completeExceptionally(error);
              } else if (simulation.nanos() > end) {
                done.completeExceptionally(unreachable());
              } else {
                later(RETRY, () -> retry(atEtcd, end, done));
              }
            });
  }

  /** Fails with etcd's own exception, or as {@link NoAnswer}. */
  private <T> CompletableFuture<T> attempt(Supplier<T> atEtcd, Duration patience) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    Connection over = connection;
    if (over == null) {
      answer.completeExceptionally(new NoAnswer());
      return answer;
    }
    Runnable giveUp = () -> answer.completeExceptionally(new NoAnswer());
    over.unanswered.add(giveUp);
    Simulation.Alarm alarm = simulation.after(patience, () -> thread.execute(giveUp));
    var _ =
        answer.whenComplete((_, _) -> {
          alarm.cancel();
          over.unanswered.remove(giveUp);
        });
    var _ = simulation.after(link.delay(), () -> arrive(over, atEtcd, answer));
    return answer;
  }

  private <T> void arrive(Connection over, Supplier<T> atEtcd, CompletableFuture<T> answer) {
    if (!etcd.answers() || (over.isCut && random.nextBoolean())) {
      return;
    }
    try {
      T value = atEtcd.get();
      answer(over, () -> answer.complete(value));
    } catch (StoreException e) {
      answer(over, () -> answer.completeExceptionally(e));
    }
  }

  private void answer(Connection over, Runnable answer) {
    var _ =
        simulation.after(
            link.delay(),
            () -> {
              if (!over.isCut) {
                thread.execute(answer);
              }
            });
  }

  private static StoreException unreachable() {
    return StoreException.unavailable("etcd cannot be reached");
  }

  private void later(Duration wait, Runnable work) {
    var _ = simulation.after(wait, () -> thread.execute(work));
  }
}
