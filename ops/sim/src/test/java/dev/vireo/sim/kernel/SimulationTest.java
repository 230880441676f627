package dev.vireo.sim.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.junit.jupiter.api.Test;

class SimulationTest {
  private static final Duration LONG = Duration.ofHours(1);

  private final List<String> happened = new ArrayList<>();

  private static Simulation simulation(long seed) {
    return new Simulation(seed, new Trace(_ -> {}));
  }

  private static SimProcess process(Simulation simulation) {
    return new SimProcess(simulation, "process", 1, Duration.ZERO);
  }

  @Test
  void theClockJumpsToWhatIsDue() {
    Simulation simulation = simulation(1);
    SimProcess process = process(simulation);
    process.execute(() -> {
      process.sleep(Duration.ofMinutes(2));
      happened.add("late");
    });
    process.execute(() -> {
      process.sleep(Duration.ofMinutes(1));
      happened.add("early");
    });

    simulation.run(LONG, () -> false);

    assertEquals(List.of("early", "late"), happened);
    assertEquals(LONG.toNanos(), simulation.nanos());
  }

  @Test
  void itGoesOnUntilItIsEnough() {
    Simulation simulation = simulation(1);
    var _ = simulation.after(Duration.ofSeconds(1), () -> happened.add("one"));
    var _ = simulation.after(Duration.ofSeconds(2), () -> happened.add("two"));

    assertTrue(simulation.run(LONG, () -> !happened.isEmpty()));
    assertEquals(List.of("one"), happened);
  }

  /** Threads of one moment: which comes first is the seed's choice, and always the same. */
  @Test
  void aSeedDecidesWhoseTurnItIs() {
    assertEquals(orderOf(1), orderOf(1));
    assertNotEquals(orderOf(1), orderOf(2));
  }

  private static List<Integer> orderOf(long seed) {
    Simulation simulation = simulation(seed);
    SimProcess process = process(simulation);
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      int number = i;
      process.execute(() -> order.add(number));
    }
    simulation.run(LONG, () -> false);
    return order;
  }

  @Test
  void blockingQueuesAndOtherThreadsWork() {
    Simulation simulation = simulation(1);
    SimProcess process = process(simulation);
    LinkedBlockingQueue<String> queue = new LinkedBlockingQueue<>();
    process.execute(() -> {
      // Inherits the scheduler: code under simulation need not know of it.
      Thread.ofVirtual()
          .start(() -> {
            process.sleep(Duration.ofSeconds(1));
            queue.add("hello");
          });
      happened.add(CompletableFuture.supplyAsync(() -> take(queue), process).join());
    });

    simulation.run(LONG, () -> false);

    assertEquals(List.of("hello"), happened);
  }

  private static String take(LinkedBlockingQueue<String> queue) {
    try {
      return queue.take();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void whoIsKilledGetsNoFurtherTurn() {
    Simulation simulation = simulation(1);
    SimProcess process = process(simulation);
    process.execute(() -> {
      happened.add("before");
      process.sleep(Duration.ofSeconds(1));
      happened.add("after");
    });
    var _ = simulation.after(Duration.ofMillis(500), process::kill);

    simulation.run(LONG, () -> false);

    assertEquals(List.of("before"), happened);
    assertFalse(process.isAlive());
  }

  @Test
  void aConditionIsWaitedForInSimulatedTime() {
    Simulation simulation = simulation(1);
    SimProcess process = new SimProcess(simulation, "fast", 1.01, Duration.ZERO);
    ReentrantLock lock = new ReentrantLock();
    Condition never = lock.newCondition();
    process.execute(() -> {
      lock.lock();
      try {
        long left = Duration.ofMinutes(1).toNanos();
        while (left > 0) {
          left = process.timeSource().await(lock, never, left);
        }
        happened.add("over");
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      } finally {
        lock.unlock();
      }
    });

    assertTrue(simulation.run(LONG, () -> !happened.isEmpty()));
    assertEquals(59.4, simulation.nanos() / 1e9, 0.1);
  }

  @Test
  void aThreadThatDiesFailsTheRun() {
    Simulation simulation = simulation(1);
    IllegalArgumentException bug = new IllegalArgumentException("a bug");
    process(simulation)
        .execute(() -> {
          throw bug;
        });

    var failure =
        assertThrows(IllegalStateException.class, () -> simulation.run(LONG, () -> false));

    assertEquals(bug, failure.getCause());
  }

  /** It would come at a moment that is not the seed's to choose. */
  @Test
  void theMachinesOwnTimeIsKeptOut() throws InterruptedException {
    Simulation simulation = simulation(1);
    SimProcess process = process(simulation);
    List<Throwable> refused = new ArrayList<>();
    Thread outside =
        Thread.ofPlatform()
            .start(() -> {
              try {
                simulation.ready(() -> {});
              } catch (IllegalStateException e) {
                refused.add(e);
              }
            });
    outside.join();

    assertEquals(1, refused.size());
    assertTrue(process.isAlive());
  }

  @Test
  void aStoppedProcessGoesOnWhereItWasAndItsClockHasGoneOn() {
    Simulation simulation = simulation(1);
    SimProcess process = process(simulation);
    process.execute(() -> {
      process.sleep(Duration.ofMinutes(1));
      happened.add("at " + process.timeSource().nanoTime() / 60_000_000_000L);
    });
    process.pause();
    process.execute(() -> happened.add("told meanwhile"));
    simulation.run(Duration.ofMinutes(10), () -> false);
    assertEquals(List.of(), happened);

    process.resume();
    simulation.run(LONG, () -> false);

    assertEquals(List.of("told meanwhile", "at 11"), happened);
  }
}
