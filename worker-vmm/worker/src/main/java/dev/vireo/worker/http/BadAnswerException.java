package dev.vireo.worker.http;

/** A server's answer that is none, or that has broken off. */
public final class BadAnswerException extends Exception {
  private static final long serialVersionUID = 1L;

  private final boolean brokenOff;

  private BadAnswerException(String what, boolean brokenOff) {
    super(what);
    this.brokenOff = brokenOff;
  }

  /** It is not what HTTP allows, or what is taken here. */
  static BadAnswerException invalid(String what) {
    return new BadAnswerException(what, false);
  }

  /** What had come was right, and was not all. */
  static BadAnswerException brokenOff(String what) {
    return new BadAnswerException(what, true);
  }

  /** Whether what had come was right. */
  public boolean isBrokenOff() {
    return brokenOff;
  }
}
