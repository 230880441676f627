package dev.vireo.vmm.boot;

import dev.vireo.proto.errors.ErrorReason;

/** A spec from which no machine can be made. Nothing has been left behind. */
public final class SpecException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final ErrorReason reason;
  private final String field;

  /**
   * @param field the field of the spec that is to blame, as the public API names it: {@code
   *     boot.kernel}
   */
  public SpecException(ErrorReason reason, String field, String message) {
    super(message);
    this.reason = reason;
    this.field = field;
  }

  public ErrorReason reason() {
    return reason;
  }

  public String field() {
    return field;
  }
}
