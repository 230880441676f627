package dev.vireo.worker.time;

import java.time.Duration;
import java.time.InstantSource;

/** A wall clock, a monotonic clock and an alarm clock. */
public interface Time extends InstantSource {
  /** Something that is due later. */
  @FunctionalInterface
  interface Alarm {
    /** It no longer is. Harmless once it has gone off. */
    void cancel();
  }

  /** Nanoseconds of a clock that nobody sets; only differences mean anything. */
  long nanos();

  /** Calls {@code task} once, in {@code wait} from now, from some thread. It must not block. */
  Alarm after(Duration wait, Runnable task);
}
