package dev.vireo.sim.kernel;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.SplittableRandom;
import java.util.function.BooleanSupplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * The event loop. Of what can run now, a random one does; when nothing can, the clock jumps to what
 * is due next. A turn of a virtual thread lasts from where it was to where it next has to wait, and
 * takes no time.
 */
public final class Simulation {
  /** More than any real exchange takes. */
  private static final int MOST_TURNS_AT_ONE_TIME = 1_000_000;

  private final long seed;
  private final SplittableRandom seeds;
  private final RandomGenerator order;
  private final Trace trace;
  private final Thread thread = Thread.currentThread();
  private final List<Runnable> ready = new ArrayList<>();
  private final PriorityQueue<Event> events =
      new PriorityQueue<>(Comparator.comparingLong(Event::at).thenComparingLong(Event::number));

  private long nanos;
  private long lastNumber;
  private long turns;
  private Runnable afterTurn = () -> {};
  private @Nullable Throwable failed;

  private record Event(long at, long number, Runnable action) {}

  /** Of something that is due later. */
  @FunctionalInterface
  public interface Alarm {
    void cancel();
  }

  public Simulation(long seed, Trace trace) {
    this.seed = seed;
    this.seeds = new SplittableRandom(seed);
    this.order = seeds.split();
    this.trace = trace;
  }

  public long seed() {
    return seed;
  }

  /** A source of randomness for one part of the world, which others do not disturb. */
  public RandomGenerator random() {
    return seeds.split();
  }

  public Trace trace() {
    return trace;
  }

  /** Since the beginning. */
  public long nanos() {
    return nanos;
  }

  /** Turns and events so far. */
  public long turns() {
    return turns;
  }

  /** A thread has ended by an exception, which is nobody's to catch: the run has failed. */
  void fail(String who, Throwable failure) {
    trace.line(nanos, who, "died of " + failure);
    if (failed == null) {
      failed = failure;
    }
  }

  /** What is to be looked at after every turn. */
  public void afterEachTurn(Runnable check) {
    afterTurn = check;
  }

  /** Something that can run now. Only from within this world. */
  @SuppressWarnings("ReferenceEquality") // This very thread.
  void ready(Runnable turn) {
    Thread current = Thread.currentThread();
    if (!current.isVirtual() && current != thread) {
      // A monitor that a waiting thread held, or the machine's clock: neither replays.
      throw new IllegalStateException(current.getName() + " reached into the simulation");
    }
    ready.add(turn);
  }

  /** Does {@code action}, which must not block, so much later. */
  public Alarm after(Duration wait, Runnable action) {
    Event event = new Event(nanos + Math.max(0, wait.toNanos()), ++lastNumber, action);
    events.add(event);
    return () -> events.remove(event);
  }

  /**
   * Goes on until there is nothing left to do, so much time has passed, or {@code enough} says so.
   *
   * @return whether it was enough
   */
  public boolean run(Duration most, BooleanSupplier enough) {
    long end = nanos + most.toNanos();
    int turnsNow = 0;
    while (!enough.getAsBoolean()) {
      if (!ready.isEmpty()) {
        if (++turnsNow > MOST_TURNS_AT_ONE_TIME) {
          throw new IllegalStateException("time stands still: threads take turns without an end");
        }
        takeTurn();
      } else {
        Event next = events.peek();
        if (next == null || next.at > end) {
          nanos = end;
          return false;
        }
        turnsNow = next.at > nanos ? 0 : turnsNow;
        nanos = next.at;
        events.remove();
        next.action.run();
        turnIsOver();
      }
    }
    return true;
  }

  private void takeTurn() {
    int index = order.nextInt(ready.size());
    Runnable turn = ready.get(index);
    ready.set(index, ready.getLast());
    ready.removeLast();
    turn.run();
    turnIsOver();
  }

  private void turnIsOver() {
    turns++;
    if (failed != null) {
      throw new IllegalStateException("a thread has died", failed);
    }
    afterTurn.run();
  }
}
