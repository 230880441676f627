package dev.vireo.worker.microvm;

import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Termination;
import java.time.Duration;

/** Whether and when a microVM whose run has ended is started again. */
final class RestartPolicy {
  private static final Duration FIRST_WAIT = Duration.ofMillis(500);
  private static final Duration LONGEST_WAIT = Duration.ofMinutes(1);

  /** A run that lasted this long counts as a good one: the next wait is the first again. */
  private static final Duration GOOD_RUN = Duration.ofMinutes(1);

  private static final int MOST_DOUBLINGS = 10;

  private int badRuns;

  /** What the policy says to this end. */
  static boolean allows(Lifecycle.RestartPolicy policy, Termination end) {
    return switch (policy) {
      case RESTART_POLICY_UNSPECIFIED, NEVER, UNRECOGNIZED -> false;
      case ALWAYS -> !timeIsUp(end);
      case ON_FAILURE ->
          switch (end.getCause()) {
            case PROCESS_ENDED -> end.getExitStatus() != 0;
            case GUEST_POWER_OFF, STOPPED_BY_REQUEST -> false;
            case RUN_TIME_EXCEEDED, IDLE_TIMEOUT -> false;
            // A kernel that panics resets the machine.
            case GUEST_RESET, VCPU_FAILED, VMM_LOST, SETUP_FAILED -> true;
            case CAUSE_UNSPECIFIED, UNRECOGNIZED -> true;
          };
    };
  }

  private static boolean timeIsUp(Termination end) {
    return end.getCause() == Termination.Cause.RUN_TIME_EXCEEDED
        || end.getCause() == Termination.Cause.IDLE_TIMEOUT;
  }

  /** How long to wait after a run of this length. Each call counts one run. */
  Duration waitAfter(Duration run) {
    if (run.compareTo(GOOD_RUN) >= 0) {
      badRuns = 0;
    }
    Duration wait = FIRST_WAIT.multipliedBy(1L << Math.min(badRuns, MOST_DOUBLINGS));
    badRuns++;
    return wait.compareTo(LONGEST_WAIT) < 0 ? wait : LONGEST_WAIT;
  }
}
