package dev.vireo.worker.image;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.worker.v1.TunnelFailure;

/** Why a call about this node's images cannot be served, or not to its end. */
final class ImageCallException extends Exception {
  private static final long serialVersionUID = 1L;

  private final ErrorReason reason;
  private final String field;

  /**
   * @param field of the public request, or empty
   * @param message a sentence for people
   */
  ImageCallException(ErrorReason reason, String field, String message) {
    super(message);
    this.reason = reason;
    this.field = field;
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
