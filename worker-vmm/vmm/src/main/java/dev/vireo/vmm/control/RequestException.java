package dev.vireo.vmm.control;

import dev.vireo.proto.errors.ErrorReason;

/** A request that cannot be served; nothing has changed. */
final class RequestException extends Exception {
  private static final long serialVersionUID = 1;

  private final ErrorReason reason;
  private final String field;

  RequestException(ErrorReason reason, String field, String message) {
    super(message);
    this.reason = reason;
    this.field = field;
  }

  RequestException(ErrorReason reason, String field, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
    this.field = field;
  }

  ErrorReason reason() {
    return reason;
  }

  /** The field of the spec that is to blame; may be empty. */
  String field() {
    return field;
  }
}
