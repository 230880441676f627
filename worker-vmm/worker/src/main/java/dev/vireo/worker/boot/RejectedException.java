package dev.vireo.worker.boot;

import dev.vireo.proto.errors.ErrorReason;

/** A node's refusal of a spec before any side effect: another node may be asked. */
public final class RejectedException extends Exception {
  private static final long serialVersionUID = 1L;

  private final ErrorReason reason;
  private final String field;

  /**
   * @param field the public path of what is to blame: {@code spec.disks[0].source}
   * @param message a sentence with the value that is wrong and what would be right
   */
  public RejectedException(ErrorReason reason, String field, String message) {
    super(message);
    this.reason = reason;
    this.field = field;
  }

  /** Of the catalogue. */
  public ErrorReason reason() {
    return reason;
  }

  /** The public path of the field; empty if it is none. */
  public String field() {
    return field;
  }

  /** What a client is told. */
  public String sentence() {
    return String.valueOf(getMessage());
  }
}
