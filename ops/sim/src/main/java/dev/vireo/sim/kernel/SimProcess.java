package dev.vireo.sim.kernel;

import dev.vireo.controller.time.TimeSource;
import dev.vireo.worker.time.Time;
import java.lang.reflect.Constructor;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.Lock;

/**
 * A process of the simulated world: virtual threads, which end where they are when it is killed,
 * and a clock that may run fast, slow, and at a wrong hour.
 *
 * <p>The threads' turns are the {@link Simulation}'s. The JDK offers no scheduler of one's own for
 * virtual threads; it has one, made for its own tests (ThreadBuilders.VirtualThreadBuilder of JDK
 * 21 to 25), which threads inherit from those that start them.
 */
public final class SimProcess implements Executor {
  private static final Instant EPOCH = Instant.parse("2026-01-01T00:00:00Z");

  private final Simulation simulation;
  private final String name;
  private final Thread.Builder.OfVirtual threads;
  private final double rate;
  private final Duration skew;
  private final List<Runnable> onKill = new ArrayList<>();
  private final List<Runnable> held = new ArrayList<>();
  private boolean alive = true;
  private boolean paused;

  /**
   * @param rate seconds of its clocks in a second of the world
   * @param skew of its wall clock
   */
  public SimProcess(Simulation simulation, String name, double rate, Duration skew) {
    this.simulation = simulation;
    this.name = name;
    this.rate = rate;
    this.skew = skew;
    this.threads =
        builder(turn -> {
          if (alive) {
            simulation.ready(() -> takeTurn(turn));
          }
        });
  }

  private static Thread.Builder.OfVirtual builder(Executor scheduler) {
    try {
      Constructor<?> made =
          Class.forName("java.lang.ThreadBuilders$VirtualThreadBuilder")
              .getDeclaredConstructor(Executor.class);
      made.setAccessible(true);
      return (Thread.Builder.OfVirtual) made.newInstance(scheduler);
    } catch (ReflectiveOperationException | RuntimeException e) {
      throw new IllegalStateException(
          "this Java cannot run virtual threads on a scheduler of ours; run it with"
              + " --add-opens=java.base/java.lang=ALL-UNNAMED",
          e);
    }
  }

  private void takeTurn(Runnable turn) {
    if (alive && paused) {
      held.add(turn);
    } else if (alive) {
      turn.run();
    }
  }

  public String name() {
    return name;
  }

  public boolean isAlive() {
    return alive;
  }

  /** Runs a task on a thread of this process; nothing if that is dead. */
  @Override
  public void execute(Runnable task) {
    if (alive) {
      threads
          .name(name)
          .start(() -> {
            try {
              task.run();
            } catch (RuntimeException | Error e) {
              simulation.fail(name, e);
            }
          });
    }
  }

  /** SIGKILL: no thread of it gets another turn. */
  public void kill() {
    if (alive) {
      alive = false;
      held.clear();
      say("killed");
      onKill.forEach(Runnable::run);
    }
  }

  /** SIGSTOP: no thread of it gets a turn for now. Its clocks go on. */
  public void pause() {
    if (alive && !paused) {
      paused = true;
      say("stopped");
    }
  }

  /** SIGCONT. */
  public void resume() {
    if (alive && paused) {
      paused = false;
      say("goes on");
      List.copyOf(held).forEach(turn -> simulation.ready(() -> takeTurn(turn)));
      held.clear();
    }
  }

  public boolean isPaused() {
    return paused;
  }

  /** What the world does when this process ends. */
  public void onKill(Runnable action) {
    onKill.add(action);
  }

  /** Writes a line of the trace. */
  public void say(String what) {
    simulation.trace().line(simulation.nanos(), name, what);
  }

  public Simulation simulation() {
    return simulation;
  }

  private long clockNanos() {
    return (long) (simulation.nanos() * rate);
  }

  private Instant wallClock() {
    return EPOCH.plusNanos(clockNanos()).plus(skew);
  }

  private Simulation.Alarm after(Duration wait, Runnable task) {
    // Rounded up: whoever waits again until its clock says so would wait for no time at all.
    long nanos = (long) Math.ceil(wait.toNanos() / rate) + 1;
    return simulation.after(Duration.ofNanos(nanos), () -> execute(task));
  }

  /** Blocks the calling thread, which is one of this process. */
  public void sleep(Duration duration) {
    CompletableFuture<Void> over = new CompletableFuture<>();
    var _ = after(duration, () -> over.complete(null));
    over.join();
  }

  /** Its clocks, as a controller sees them. */
  public TimeSource timeSource() {
    return new TimeSource() {
      @Override
      public Instant now() {
        return wallClock();
      }

      @Override
      public long nanoTime() {
        return clockNanos();
      }

      @Override
      public void sleep(Duration duration) {
        SimProcess.this.sleep(duration);
      }

      @Override
      @SuppressWarnings("WaitNotInLoop") // The caller has the loop.
      public long await(Lock lock, Condition condition, long nanos) throws InterruptedException {
        long end = clockNanos() + nanos;
        Simulation.Alarm alarm = after(Duration.ofNanos(nanos), () -> signal(lock, condition));
        try {
          condition.await();
        } finally {
          alarm.cancel();
        }
        return end - clockNanos();
      }
    };
  }

  private static void signal(Lock lock, Condition condition) {
    lock.lock();
    try {
      condition.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Its clocks, as a worker sees them. */
  public Time time() {
    return new Time() {
      @Override
      public Instant instant() {
        return wallClock();
      }

      @Override
      public long nanos() {
        return clockNanos();
      }

      @Override
      public Alarm after(Duration wait, Runnable task) {
        return SimProcess.this.after(wait, task)::cancel;
      }
    };
  }
}
