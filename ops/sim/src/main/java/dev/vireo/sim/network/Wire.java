package dev.vireo.sim.network;

import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.WorkerMessage;

/** Messages in a few words, for the trace. */
final class Wire {
  private Wire() {}

  static String line(WorkerMessage message) {
    return switch (message.getMessageCase()) {
      case HELLO ->
          "hello " + message.getHello().getReportsList().stream().map(Wire::line).toList();
      case REPORT -> line(message.getReport());
      case HEARTBEAT, LOG_CHUNK, INSPECT_RESULT, TRACE_CHUNK, MESSAGE_NOT_SET ->
          message.getMessageCase().name().toLowerCase(java.util.Locale.ROOT);
    };
  }

  private static String line(MicroVmReport report) {
    return "%s attempt %d %s %s"
        .formatted(report.getUid(), report.getAttempt(), report.getOutcome(), report.getState());
  }

  static String line(ControllerMessage message) {
    return switch (message.getMessageCase()) {
      case WELCOME ->
          "welcome "
              + message.getWelcome().getAssignmentsList().stream()
                  .map(assignment -> assignment.getUid() + "/" + assignment.getAttempt())
                  .toList();
      case DESIRED_CHANGE -> line(message.getDesiredChange());
      case READ_LOG,
          CANCEL_LOG,
          INSPECT,
          READ_TRACE,
          CANCEL_TRACE,
          OPEN_TUNNEL,
          ALIVE,
          MESSAGE_NOT_SET ->
          message.getMessageCase().name().toLowerCase(java.util.Locale.ROOT);
    };
  }

  private static String line(DesiredChange change) {
    return change.hasRemove()
        ? "remove " + change.getRemove().getUid() + (change.getRemove().getForce() ? " !" : "")
        : "run %s attempt %d as %s"
            .formatted(
                change.getUpsert().getUid(),
                change.getUpsert().getAttempt(),
                change.getUpsert().getSpec().getDesiredState());
  }
}
