package dev.vireo.worker;

/**
 * What {@code Main} exits with; the numbers are those of the {@code vireo} command. A worker that
 * is ended by SIGTERM exits with 143, as the JVM does, and leaves its guests running.
 */
enum ExitCode {
  /** It did what it was asked to. */
  DONE(0),
  /** Something went wrong; the message says what. */
  FAILED(1),
  /** The command line is wrong. */
  USAGE(2),
  /** Another worker holds the state directory, or it cannot be used. */
  REFUSED(5),
  /** This machine cannot be a node: no KVM that can be used, or no VMM program. */
  UNAVAILABLE(7);

  private final int number;

  ExitCode(int number) {
    this.number = number;
  }

  int number() {
    return number;
  }
}
