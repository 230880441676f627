package dev.vireo.controller.leader;

import static dev.vireo.controller.store.Store.await;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Lifetime;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.store.v1.LeaderRecord;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jboss.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Elects one leader among the controllers of a store: who makes the leader's key leads, until its
 * lease ends, which takes the key along.
 *
 * <p>The lease is kept alive, and time is counted from before each request for that: a leader that
 * cannot reach the store, or was stopped, knows itself deposed {@link #MARGIN a while} before the
 * store lets another one in, if it can look at a clock at all. What it commits without looking is
 * refused ({@link FencedStore}).
 *
 * <p>The key's commit comes back when every image of the store in this process shows all that was
 * committed before, so a new leader begins with all that its predecessors have written.
 *
 * <p>One thread goes round ({@link #run}); a test goes round by itself ({@link #round}).
 */
public final class LeaderElection implements Runnable, AutoCloseable {
  private static final Logger LOG = Logger.getLogger(LeaderElection.class);

  /** The leader's key, written once in a term. */
  public static final String KEY = "election/leader";

  /** How late the end of a term may be noticed, if nobody tells. */
  private static final Duration PERIOD = Duration.ofMillis(100);

  /** Parts of the lease: how often it is kept alive, and how much of it a leader does not use. */
  private static final int RENEWALS = 4;

  private static final int MARGIN = 6;

  private static final Duration CLOSE = Duration.ofSeconds(3);

  private final Store store;
  private final Leadership leadership;
  private final LeaderRecord self;
  private final Duration lasting;
  private final TimeSource time;
  private final Store.Watch watch;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition news = lock.newCondition();
  private final CompletableFuture<Void> ended = new CompletableFuture<>();
  private boolean isNews;
  private volatile boolean closed;

  /** The leader's key as the store has it. */
  private volatile Optional<Entry> key = Optional.empty();

  /** Only the thread's. */
  private @Nullable Term term;

  private CompletableFuture<Void> resigned = CompletableFuture.completedFuture(null);
  private String lastFailure = "";

  /** This controller's time as the leader. */
  private static final class Term {
    final Store.Lease lease;
    final long fence;
    long askedNanos;
    volatile boolean asking;
    volatile boolean over;

    Term(Store.Lease lease, long fence, long askedNanos) {
      this.lease = lease;
      this.fence = fence;
      this.askedNanos = askedNanos;
    }
  }

  /**
   * Begins to watch who leads.
   *
   * @param self what the others shall know of this controller; its id is no other process's, ever
   * @param lasting how long a leader is waited for that says nothing; at least a second
   */
  public LeaderElection(
      Store store, Leadership leadership, LeaderRecord self, Duration lasting, TimeSource time) {
    this.store = store;
    this.leadership = leadership;
    this.self = self;
    this.lasting = lasting;
    this.time = time;
    Listing now = await(store.list(KEY));
    now.entries().forEach(entry -> saw(Optional.of(entry)));
    this.watch = await(store.watch(KEY, now.version(), new Image()));
  }

  private final class Image implements Store.Watcher {
    @Override
    public void onChanges(List<Change> changes) {
      for (Change change : changes) {
        switch (change) {
          case Change.Updated(Entry entry) -> saw(Optional.of(entry));
          case Change.Deleted _ -> saw(Optional.empty());
        }
      }
    }

    @Override
    public void onListing(Listing listing) {
      saw(listing.entries().stream().findFirst());
    }
  }

  private void saw(Optional<Entry> now) {
    key = now;
    Optional<LeaderRecord> other =
        now.map(LeaderElection::leader).filter(leader -> !leader.getId().equals(self.getId()));
    other.ifPresent(
        leader -> LOG.infof("leader id=%s address=%s", leader.getId(), leader.getAddress()));
    leadership.follow(other.map(LeaderRecord::getAddress));
    tellNews();
  }

  private static LeaderRecord leader(Entry entry) {
    try {
      return LeaderRecord.parseFrom(entry.value());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a leader's record: " + entry.key(), e);
    }
  }

  // ---- the thread

  @Override
  public void run() {
    try {
      while (!closed) {
        round();
        awaitNews();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      if (term != null) {
        stepDown(term, "it stops");
        awaitAtMost(resigned);
      }
      ended.complete(null);
    }
  }

  private boolean awaitAtMost(CompletableFuture<?> future) {
    try {
      time.await(future, CLOSE);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return future.isDone();
  }

  /** Does once what is due. Waits for the store only while another leads, or nobody. */
  void round() {
    Term mine = term;
    if (mine == null) {
      if (key.isEmpty()) {
        campaign();
      }
    } else if (!leadership.leads()) {
      stepDown(mine, "its lease could not be kept alive in time");
    } else if (mine.over || !isListed(mine)) {
      stepDown(mine, "its lease has ended");
    } else {
      keepAlive(mine);
    }
  }

  /** Whether the store has last said that this term goes on. */
  private boolean isListed(Term mine) {
    return key.filter(entry -> entry.version() == mine.fence).isPresent();
  }

  private void campaign() {
    long asked = time.nanoTime();
    Store.@Nullable Lease lease = null;
    try {
      lease = await(store.lease(lasting));
      Write first =
          new Write.Put(KEY, Write.ABSENT, self.toByteString(), new Lifetime.Leased(lease));
      long fence = await(store.commit(List.of(first)));
      term = new Term(lease, fence, asked);
      LOG.infof("leading id=%s term=%d", self.getId(), fence);
      leadership.elect(fence, end(asked));
      lastFailure = "";
    } catch (Conflict _) {
      end(lease); // Another was quicker.
    } catch (StoreException e) {
      if (!e.getMessage().equals(lastFailure)) {
        LOG.warnf("nobody can be elected now: %s", e.getMessage());
        lastFailure = e.getMessage();
      }
      end(lease); // If the key is there after all, it goes with it.
    }
  }

  private static void end(Store.@Nullable Lease lease) {
    if (lease != null) {
      CompletableFuture<?> _ = lease.end();
    }
  }

  /** When a leader that asked at this time, and was answered, has to be asked no more. */
  private long end(long askedNanos) {
    return askedNanos + lasting.toNanos() - lasting.toNanos() / MARGIN;
  }

  private void keepAlive(Term mine) {
    long now = time.nanoTime();
    if (mine.asking || now - mine.askedNanos < lasting.toNanos() / RENEWALS) {
      return;
    }
    mine.asking = true;
    mine.askedNanos = now;
    CompletableFuture<?> _ =
        mine.lease
            .keepAlive()
            .whenComplete((_, error) -> {
              if (error == null) {
                leadership.prolong(end(now));
              } else {
                LOG.debugf("the leader's lease was not kept alive: %s", error.getMessage());
                mine.over = error instanceof StoreException.LeaseEnded;
              }
              mine.asking = false;
              tellNews();
            });
  }

  private void stepDown(Term mine, String why) {
    LOG.warnf("leading no more id=%s term=%d: %s", self.getId(), mine.fence, why);
    term = null;
    leadership.depose(isListed(mine));
    // Others need not wait for it.
    resigned = mine.lease.end();
  }

  private void awaitNews() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long left = PERIOD.toNanos();
      while (!isNews && !closed && left > 0) {
        left = time.await(lock, news, left);
      }
      isNews = false;
    } finally {
      lock.unlock();
    }
  }

  private void tellNews() {
    lock.lock();
    try {
      isNews = true;
      news.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends {@link #run}, which has begun. A leader steps down, and another is elected at once. Who
   * leads then is not told here any more.
   */
  @Override
  public void close() {
    closed = true;
    tellNews();
    if (!awaitAtMost(ended)) {
      LOG.warn("the election did not end in time: others wait for the lease to end");
    }
    watch.close();
  }
}
