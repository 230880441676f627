package dev.vireo.worker.microvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.Timestamp;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Termination.Cause;
import dev.vireo.worker.agent.Activity;
import dev.vireo.worker.time.ManualTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** How long a guest may run, and how long it may go unused. */
class TimeLimitsTest {
  private static final String UID = "u1";

  private final ManualTime time = new ManualTime();
  private final Activity activity = new Activity(time);
  private final List<Cause> told = new ArrayList<>();
  private final List<String> messages = new ArrayList<>();

  @Test
  void aRunEndsAtItsTime() {
    start(limits(90, 0), time.instant());
    pass(89);
    assertEquals(List.of(), told);
    pass(1);
    assertEquals(List.of(Cause.RUN_TIME_EXCEEDED), told);
    assertEquals(List.of("it has run for its max_run_time, 1m30s"), messages);
    pass(1000);
    assertEquals(1, told.size(), "told once");
  }

  @Test
  void whatRanUnderAnEarlierWorkerCounts() {
    start(limits(90, 0), time.instant().minusSeconds(60));
    pass(29);
    assertEquals(List.of(), told);
    pass(1);
    assertEquals(List.of(Cause.RUN_TIME_EXCEEDED), told);
  }

  @Test
  void whatRanTooLongMeanwhileEndsAtOnce() {
    start(limits(90, 0), time.instant().minusSeconds(1000));
    assertEquals(List.of(Cause.RUN_TIME_EXCEEDED), told);
  }

  @Test
  void aGuestThatNobodyEverCallsIsIdleFromItsStart() {
    pass(500);
    start(limits(0, 10), time.instant());
    pass(9);
    assertEquals(List.of(), told);
    pass(1);
    assertEquals(List.of(Cause.IDLE_TIMEOUT), told);
  }

  @Test
  void aCallThatIsOpenKeepsItHoweverLong() {
    activity.began(UID);
    start(limits(0, 10), time.instant());
    pass(1000);
    assertEquals(List.of(), told);
    activity.ended(UID);
    pass(9);
    assertEquals(List.of(), told);
    pass(1);
    assertEquals(List.of(Cause.IDLE_TIMEOUT), told);
  }

  @Test
  void theLastOfSeveralCallsCounts() {
    start(limits(0, 10), time.instant());
    activity.began(UID);
    activity.began(UID);
    activity.began("another");
    pass(5);
    activity.ended(UID);
    pass(20);
    assertEquals(List.of(), told);
    activity.ended(UID);
    pass(9);
    assertEquals(List.of(), told);
    pass(1);
    assertEquals(List.of(Cause.IDLE_TIMEOUT), told);
  }

  @Test
  void aCallBeforeItsRunDoesNotCountForIt() {
    activity.began(UID);
    activity.ended(UID);
    pass(500);
    start(limits(0, 10), time.instant());
    pass(9);
    assertEquals(List.of(), told);
  }

  @Test
  void theEarlierOfBothLimitsCounts() {
    start(limits(30, 10), time.instant());
    activity.began(UID);
    pass(30);
    assertEquals(List.of(Cause.RUN_TIME_EXCEEDED), told);
  }

  @Test
  void nothingIsToldOnceItEndsByItself() {
    TimeLimits limits = start(limits(30, 10), time.instant());
    limits.cancel();
    pass(1000);
    assertEquals(List.of(), told);
    assertEquals(0, time.alarms());
  }

  @Test
  void withoutLimitsNoAlarmIsSet() {
    start(limits(0, 0), time.instant());
    assertEquals(0, time.alarms());
  }

  private static Lifecycle limits(long maxRunSeconds, long idleSeconds) {
    Lifecycle.Builder lifecycle = Lifecycle.newBuilder();
    if (maxRunSeconds > 0) {
      lifecycle.getMaxRunTimeBuilder().setSeconds(maxRunSeconds);
    }
    if (idleSeconds > 0) {
      lifecycle.getIdleTimeoutBuilder().setSeconds(idleSeconds);
    }
    return lifecycle.build();
  }

  private TimeLimits start(Lifecycle lifecycle, Instant started) {
    TimeLimits limits =
        new TimeLimits(
            UID,
            lifecycle,
            Timestamp.newBuilder().setSeconds(started.getEpochSecond()).build(),
            activity,
            time,
            (cause, message) -> {
              told.add(cause);
              messages.add(message);
            });
    limits.start();
    return limits;
  }

  private void pass(long seconds) {
    time.pass(Duration.ofSeconds(seconds));
  }
}
