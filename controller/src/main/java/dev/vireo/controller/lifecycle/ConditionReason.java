package dev.vireo.controller.lifecycle;

import com.google.common.base.CaseFormat;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Termination;

/**
 * Why a condition is as it is. The names are API.
 *
 * <p>Beside these, a condition that is so because of an error carries that error's reason (of the
 * catalogue) in upper camel case, for example {@code DiskNotFound}, and Finished the termination's
 * cause, for example {@code GuestPowerOff}.
 */
public enum ConditionReason {
  ASSIGNED("Assigned", "Scheduled: it has a node."),
  UNSCHEDULABLE("Unschedulable", "Scheduled: no node can take it now; the message counts why."),
  REFUSED_BY_NODE("RefusedByNode", "Scheduled: the chosen node had no room after all."),
  WAITING_FOR_GANG(
      "WaitingForGang",
      "Scheduled: its gang is not complete, or has no room as a whole; it has not had a node yet."),
  LEAVING("Leaving", "Scheduled: it has a node, and is about to leave it; the message says why."),
  DRAINED("Drained", "Scheduled, Finished: it had to leave, for its node was drained."),
  PREEMPTED(
      "Preempted", "Scheduled, Finished: it had to leave for a microVM of a higher priority."),
  TAINTED(
      "Tainted",
      "Scheduled, Finished: it had to leave, for its node has a taint that drives it out."),
  IN_PROGRESS("InProgress", "Prepared, Started: the node is at it."),
  PREPARED("Prepared", "Prepared: the VMM has its spec."),
  STARTED("Started", "Started: the guest runs, or ran."),
  READY("Ready", "Ready: it is."),
  NOT_READY("NotReady", "Ready: it runs, and is not yet."),
  NOT_RUNNING(
      "NotRunning",
      "Ready: it has ended, or has not begun. Prepared, Started: it begins anew elsewhere."),
  RUNNING("Running", "Finished: it is not."),
  STOPPED_BEFORE_START("StoppedBeforeStart", "Finished: it was stopped before it had a node."),
  NODE_REPLACED(
      "NodeReplaced", "Scheduled, Finished: its node's worker was replaced by another one."),
  NODE_FENCED(
      "NodeFenced", "Scheduled, Finished: its node was fenced: its machine was said to be off."),
  UNKNOWN("Unknown", "Started: the node cannot tell.");

  private final String apiName;
  private final String meaning;

  ConditionReason(String apiName, String meaning) {
    this.apiName = apiName;
    this.meaning = meaning;
  }

  /** As in {@code Condition.reason}. */
  public String apiName() {
    return apiName;
  }

  /** Of which condition, and what it means. */
  public String meaning() {
    return meaning;
  }

  /** The reason of a condition that is due to an error. */
  static String of(ErrorReason error) {
    return CaseFormat.UPPER_UNDERSCORE.to(CaseFormat.UPPER_CAMEL, error.name());
  }

  /** The reason of Finished. */
  static String of(Termination.Cause cause) {
    return CaseFormat.UPPER_UNDERSCORE.to(CaseFormat.UPPER_CAMEL, cause.name());
  }
}
