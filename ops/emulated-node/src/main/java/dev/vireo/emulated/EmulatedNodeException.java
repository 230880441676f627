package dev.vireo.emulated;

/** The emulated node cannot be built, started or run on; the message says what to do about it. */
public final class EmulatedNodeException extends Exception {
  private static final long serialVersionUID = 1L;

  /** Why, for callers that decide by it. */
  public enum Reason {
    /** No emulated node of this architecture yet. */
    ARCHITECTURE_UNSUPPORTED,
    /** This host lacks a program that is needed. */
    HOST_UNSUPPORTED,
    /** Something of Vireo that runs inside has not been built. */
    ARTIFACT_MISSING,
    /** Another process runs a node with this state directory. */
    STATE_IN_USE,
    /** The outer machine did not come up, or ended before its job did. */
    MACHINE_FAILED,
    /** No machine runs with this state directory, or it ended meanwhile. */
    NOT_RUNNING,
    /** It did not end in time. */
    TIMED_OUT
  }

  private final Reason reason;

  public EmulatedNodeException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  /** Why. */
  public Reason reason() {
    return reason;
  }
}
