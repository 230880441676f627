package dev.vireo.sim.store;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.Write;
import dev.vireo.sim.kernel.SimProcess;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.random.RandomGenerator;

/**
 * The only process's store, on a disk that others had before it. As SQLite's, it does one thing
 * after the other; a kill finds a commit before, in or after the disk, and what waits for its
 * answer gone.
 */
public final class SimStore implements Store {
  private static final long QUICK_NANOS = 2_000_000;
  private static final long SLOW_NANOS = 800_000_000;
  private static final double SLOW = 0.01;

  private final SimDisk disk;
  private final SimProcess process;
  private final RandomGenerator random;
  private final ArrayDeque<Runnable> waiting = new ArrayDeque<>();
  private final List<Subscription> watches = new CopyOnWriteArrayList<>();
  private boolean busy;

  private record Subscription(String prefix, Watcher watcher) {}

  public SimStore(SimDisk disk, SimProcess process, RandomGenerator random) {
    this.disk = disk;
    this.process = process;
    this.random = random;
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    CompletableFuture<Long> answer = new CompletableFuture<>();
    enqueue(() -> {
      List<Change> changes;
      try {
        changes = disk.commit(writes);
      } catch (StoreException e) {
        process.say("commit refused: " + e.getMessage());
        pause(); // Whoever gave a version may have been killed by now.
        answer.completeExceptionally(e);
        return;
      }
      long version = changes.getFirst().version();
      process.say("commit " + version + " " + writes.stream().map(Write::key).toList());
      pause();
      if (random.nextDouble() < disk.answersLost()) {
        loseAnswer(answer, changes);
      } else {
        watches.forEach(watch -> tell(watch, changes));
        answer.complete(version);
      }
    });
    return answer;
  }

  /**
   * It is done, and nobody knows until the next answer: by then watchers know, one way or other.
   */
  private void loseAnswer(CompletableFuture<Long> answer, List<Change> changes) {
    process.say("the answer is lost");
    answer.completeExceptionally(StoreException.outcomeUnknown("the answer is lost"));
    pause();
    boolean missed = random.nextBoolean();
    for (Subscription watch : watches) {
      if (missed) {
        watch.watcher.onListing(disk.list(watch.prefix));
      } else {
        tell(watch, changes);
      }
    }
  }

  private static void tell(Subscription watch, List<Change> changes) {
    List<Change> seen =
        changes.stream().filter(change -> change.key().startsWith(watch.prefix)).toList();
    if (!seen.isEmpty()) {
      watch.watcher.onChanges(seen);
    }
  }

  @Override
  public CompletableFuture<Void> barrier() {
    CompletableFuture<Void> answer = new CompletableFuture<>();
    enqueue(() -> answer.complete(null));
    return answer;
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    CompletableFuture<Optional<Entry>> answer = new CompletableFuture<>();
    enqueue(() -> answer.complete(disk.get(key)));
    return answer;
  }

  @Override
  public CompletableFuture<Listing> list(String prefix) {
    CompletableFuture<Listing> answer = new CompletableFuture<>();
    enqueue(() -> answer.complete(disk.list(prefix)));
    return answer;
  }

  @Override
  public CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher) {
    CompletableFuture<Watch> answer = new CompletableFuture<>();
    enqueue(() -> {
      List<Change> missed;
      try {
        missed = disk.changesAfter(prefix, afterVersion);
      } catch (StoreException e) {
        answer.completeExceptionally(e);
        return;
      }
      Subscription subscription = new Subscription(prefix, watcher);
      if (!missed.isEmpty()) {
        watcher.onChanges(missed);
      }
      watches.add(subscription);
      answer.complete(() -> watches.remove(subscription));
    });
    return answer;
  }

  /** The only controller needs none. */
  @Override
  public CompletableFuture<Lease> lease(Duration time) {
    throw new UnsupportedOperationException();
  }

  private void enqueue(Runnable task) {
    waiting.add(task);
    if (!busy) {
      busy = true;
      process.execute(this::work);
    }
  }

  private void work() {
    for (Runnable task = waiting.poll(); task != null; task = waiting.poll()) {
      pause();
      task.run();
    }
    busy = false;
  }

  private void pause() {
    long most = random.nextDouble() < SLOW ? SLOW_NANOS : QUICK_NANOS;
    process.sleep(Duration.ofNanos(random.nextLong(most)));
  }

  @Override
  public void close() {
    watches.clear();
  }
}
