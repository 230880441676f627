package dev.vireo.worker.microvm;

import com.google.protobuf.Timestamp;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Termination;
import dev.vireo.worker.agent.Activity;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import java.time.Duration;
import java.time.Instant;
import java.util.Locale;
import java.util.Optional;

/**
 * Watches a running guest's time: how long it may run, and how long it may go unused. What is
 * called from outside is called in the microVM's mailbox; the alarm comes from some thread.
 */
final class TimeLimits {
  /** Longer than any limit that a spec may have. */
  private static final Duration NEVER = Duration.ofDays(10_000);

  private final String uid;
  private final Optional<Duration> maxRunTime;
  private final Optional<Duration> idleTimeout;
  private final Activity activity;
  private final Time time;
  private final Listener listener;

  /** On the monotonic clock: idleness is not known from before that. */
  private final long beganNanos;

  /** Meaningful with {@link #maxRunTime} only. */
  private final long runEndsNanos;

  private volatile boolean over;
  private volatile Alarm alarm = () -> {};

  /** Hears at most once. */
  @FunctionalInterface
  interface Listener {
    /**
     * It is to end. Must not block.
     *
     * @param message for people
     */
    void timeIsUp(Termination.Cause cause, String message);
  }

  /**
   * @param startTime when the guest first ran, whoever was its worker then
   */
  TimeLimits(
      String uid,
      Lifecycle lifecycle,
      Timestamp startTime,
      Activity activity,
      Time time,
      Listener listener) {
    this.uid = uid;
    this.maxRunTime =
        lifecycle.hasMaxRunTime()
            ? Optional.of(duration(lifecycle.getMaxRunTime()))
            : Optional.empty();
    this.idleTimeout =
        lifecycle.hasIdleTimeout()
            ? Optional.of(duration(lifecycle.getIdleTimeout()))
            : Optional.empty();
    this.activity = activity;
    this.time = time;
    this.listener = listener;
    this.beganNanos = time.nanos();
    Instant started = Timestamps.toInstant(startTime);
    Duration ran = Duration.between(started, time.instant());
    this.runEndsNanos = beganNanos + maxRunTime.orElse(Duration.ZERO).minus(ran).toNanos();
  }

  /** Begins to watch. */
  void start() {
    if (maxRunTime.isPresent() || idleTimeout.isPresent()) {
      look();
    }
  }

  /** The guest ends in some way; nothing more is told. */
  void cancel() {
    over = true;
    alarm.cancel();
  }

  private void look() {
    if (over) {
      return;
    }
    Duration toRun = maxRunTime.isPresent() ? runTimeLeft() : NEVER;
    Duration toIdle = idleTimeout.map(this::idleTimeLeft).orElse(NEVER);
    if (!toRun.isPositive()) {
      end(
          Termination.Cause.RUN_TIME_EXCEEDED,
          "it has run for its max_run_time, " + text(maxRunTime.orElseThrow()));
    } else if (!toIdle.isPositive()) {
      end(
          Termination.Cause.IDLE_TIMEOUT,
          "nobody has called its agent for its idle_timeout, " + text(idleTimeout.orElseThrow()));
    } else {
      alarm = time.after(toRun.compareTo(toIdle) < 0 ? toRun : toIdle, this::look);
      if (over) {
        alarm.cancel();
      }
    }
  }

  private Duration runTimeLeft() {
    return Duration.ofNanos(runEndsNanos - time.nanos());
  }

  /** A call that is open now and ends at once leaves the whole of it. */
  private Duration idleTimeLeft(Duration timeout) {
    return timeout.minus(activity.quiet(uid, beganNanos));
  }

  private void end(Termination.Cause cause, String message) {
    over = true;
    listener.timeIsUp(cause, message);
  }

  /** "90s", "1h30m". */
  private static String text(Duration duration) {
    return duration.toString().substring("PT".length()).toLowerCase(Locale.ROOT);
  }

  private static Duration duration(com.google.protobuf.Duration duration) {
    return Duration.ofSeconds(duration.getSeconds(), duration.getNanos());
  }
}
