package dev.vireo.worker.agent;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.worker.v1.TunnelFailure;

/** Why a call to an agent cannot be served, or not any longer. */
final class AgentException extends Exception {
  private static final long serialVersionUID = 1L;

  private final ErrorReason reason;
  private final String field;

  /**
   * @param field of the public request, or empty
   * @param message a sentence for people
   */
  AgentException(ErrorReason reason, String field, String message) {
    super(message);
    this.reason = reason;
    this.field = field;
  }

  /** What the client has sent is wrong. */
  static AgentException invalid(String field, String message) {
    return new AgentException(ErrorReason.FIELD_INVALID, field, message);
  }

  /** The agent has broken its promises. */
  static AgentException broken(String what) {
    return new AgentException(ErrorReason.AGENT_FAILED, "", "the guest's agent " + what);
  }

  ErrorReason reason() {
    return reason;
  }

  TunnelFailure toFailure() {
    return TunnelFailure.newBuilder()
        .setReason(reason.name())
        .setField(field)
        .setMessage(String.valueOf(getMessage()))
        .build();
  }
}
