package dev.vireo.worker.time;

import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.PriorityQueue;

/** Time that passes when a test says so; alarms go off on the thread that says so. */
public final class ManualTime implements Time {
  private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

  private record Due(long nanos, long order, Runnable task) {}

  private final PriorityQueue<Due> alarms =
      new PriorityQueue<>(Comparator.comparingLong(Due::nanos).thenComparingLong(Due::order));
  private long now;
  private long order;

  @Override
  public synchronized Instant instant() {
    return START.plusNanos(now);
  }

  @Override
  public synchronized long nanos() {
    return now;
  }

  @Override
  public synchronized Alarm after(Duration wait, Runnable task) {
    Due due = new Due(now + wait.toNanos(), order++, task);
    alarms.add(due);
    return () -> {
      synchronized (ManualTime.this) {
        alarms.remove(due);
      }
    };
  }

  /** Lets this much time pass, and every alarm go off that becomes due, in order. */
  public void pass(Duration time) {
    long end = nanos() + time.toNanos();
    for (Due due = nextUntil(end); due != null; due = nextUntil(end)) {
      due.task().run();
    }
    synchronized (this) {
      now = end;
    }
  }

  private synchronized @org.jspecify.annotations.Nullable Due nextUntil(long end) {
    Due due = alarms.peek();
    if (due == null || due.nanos() > end) {
      return null;
    }
    alarms.remove();
    now = Math.max(now, due.nanos());
    return due;
  }

  /** How many alarms are set. */
  public synchronized int alarms() {
    return alarms.size();
  }
}
