package dev.vireo.worker.vmm;

import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.worker.time.Time;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * VMM processes that were started and warmed before anybody asked for one. A create takes one at
 * once; if none is left it gets the next that is ready. Refilling yields to creates: unless the
 * pool has run dry, it waits for a quiet moment. Thread-safe.
 */
public final class VmmPool implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("vmm");

  /** Without a create for this long, a refill slows none down. */
  private static final Duration QUIET = Duration.ofMillis(250);

  private static final Duration FIRST_RETRY = Duration.ofSeconds(1);
  private static final int MOST_RETRY_DOUBLINGS = 5;

  private final Supplier<CompletableFuture<Vmm>> spawn;
  private final int target;
  private final int parallelSpawns;
  private final Executor executor;
  private final Time time;

  private final ArrayDeque<Vmm> idle = new ArrayDeque<>();
  private final ArrayDeque<CompletableFuture<Vmm>> waiting = new ArrayDeque<>();
  private int spawning;
  private int failuresInARow;
  private long refillAtNanos;
  private boolean refillScheduled;
  private boolean closed;

  /**
   * @param spawn starts a VMM; may block for as long as posix_spawn does
   * @param target how many are to be idle
   * @param parallelSpawns how many may be starting at once
   * @param executor on which {@code spawn} is called
   */
  public VmmPool(
      Supplier<CompletableFuture<Vmm>> spawn,
      int target,
      int parallelSpawns,
      Executor executor,
      Time time) {
    this.spawn = spawn;
    this.target = target;
    this.parallelSpawns = parallelSpawns;
    this.executor = executor;
    this.time = time;
    this.refillAtNanos = time.nanos();
  }

  /** Begins to fill. */
  public void start() {
    balance();
  }

  /**
   * An idle VMM, the caller's from now on. Fails with {@link VmmGoneException} if none can be
   * started.
   */
  public CompletableFuture<Vmm> take() {
    CompletableFuture<Vmm> result;
    synchronized (this) {
      if (failuresInARow == 0) {
        refillAtNanos = time.nanos() + QUIET.toNanos();
      }
      Vmm vmm = idle.poll();
      if (vmm != null) {
        result = CompletableFuture.completedFuture(vmm);
      } else {
        result = new CompletableFuture<>();
        waiting.add(result);
      }
    }
    balance();
    return result;
  }

  /** Takes in an idle VMM: a new one, or one that was taken and not used. */
  public void add(Vmm vmm) {
    CompletableFuture<Vmm> waiter;
    boolean refused;
    synchronized (this) {
      waiter = waiting.poll();
      refused = closed || (waiter == null && idle.size() >= target);
      if (waiter == null && !refused) {
        idle.add(vmm);
        // Before it can be taken: its taker's listener comes after this one.
        vmm.listen(new WhileIdle(vmm));
      }
    }
    if (refused) {
      vmm.discard();
    } else if (waiter != null) {
      waiter.complete(vmm);
    }
  }

  /** How many are ready. */
  public synchronized int idle() {
    return idle.size();
  }

  private void balance() {
    int toSpawn = 0;
    synchronized (this) {
      while (!closed && spawning < parallelSpawns && (spawning < waiting.size() || refillIsDue())) {
        spawning++;
        toSpawn++;
      }
      if (!closed && needsRefill() && !refillIsDue() && !refillScheduled) {
        refillScheduled = true;
        long wait = Math.max(0, refillAtNanos - time.nanos());
        var _ = time.after(Duration.ofNanos(wait), this::refill);
      }
    }
    for (int i = 0; i < toSpawn; i++) {
      executor.execute(this::spawnOne);
    }
  }

  private boolean needsRefill() {
    return idle.size() + Math.max(0, spawning - waiting.size()) < target;
  }

  private boolean refillIsDue() {
    boolean dry = idle.isEmpty() && failuresInARow == 0;
    return needsRefill() && (dry || time.nanos() - refillAtNanos >= 0);
  }

  private void refill() {
    synchronized (this) {
      refillScheduled = false;
    }
    balance();
  }

  private void spawnOne() {
    var _ = spawn.get().whenComplete(this::spawned);
  }

  private void spawned(@Nullable Vmm vmm, @Nullable Throwable failure) {
    CompletableFuture<Vmm> disappointed = null;
    synchronized (this) {
      spawning--;
      if (vmm != null) {
        failuresInARow = 0;
      } else {
        Duration wait =
            FIRST_RETRY.multipliedBy(1L << Math.min(failuresInARow, MOST_RETRY_DOUBLINGS));
        refillAtNanos = time.nanos() + wait.toNanos();
        failuresInARow++;
        disappointed = waiting.poll();
      }
    }
    if (vmm != null) {
      add(vmm);
    } else {
      LOG.log(Level.WARNING, "a VMM did not start: " + sentenceOf(failure));
      if (disappointed != null) {
        disappointed.completeExceptionally(failure);
      }
    }
    balance();
  }

  private static String sentenceOf(@Nullable Throwable failure) {
    Throwable cause =
        failure instanceof CompletionException && failure.getCause() != null
            ? failure.getCause()
            : failure;
    return String.valueOf(cause instanceof VmmGoneException ? cause.getMessage() : cause);
  }

  /** What befalls a VMM that waits for a spec: nothing but its end. */
  private final class WhileIdle implements VmmListener {
    private final Vmm vmm;

    WhileIdle(Vmm vmm) {
      this.vmm = vmm;
    }

    @Override
    public void onStatus(VmmStatus status) {
      // It has nothing to tell.
    }

    @Override
    public void onExit(VmmExit exit) {
      boolean wasIdle;
      synchronized (VmmPool.this) {
        wasIdle = idle.remove(vmm);
      }
      // Otherwise it was just taken, and its taker is told.
      if (wasIdle) {
        LOG.log(Level.WARNING, "idle {0} {1}", vmm, exit.describe());
        vmm.remove();
        balance();
      }
    }
  }

  /** Ends the idle VMMs, and waits a moment for it; those that were taken go on. */
  @Override
  public void close() {
    List<Vmm> unused;
    synchronized (this) {
      closed = true;
      unused = List.copyOf(idle);
      idle.clear();
    }
    RemoveWhenEnded.endAll(unused);
  }
}
