package dev.vireo.cli;

import io.grpc.Status;

/** What the process tells its caller. Scripts rely on the numbers: they are API. */
public final class ExitCode {
  public static final int OK = 0;

  /** The command was carried out and what it asked for failed, or a server had a bug. */
  public static final int FAILED = 1;

  /** The command line itself is wrong. */
  public static final int USAGE = 2;

  public static final int NOT_FOUND = 4;

  /**
   * The server understood and refused: a bad spec, a duplicate name, a state that does not allow
   * it.
   */
  public static final int REFUSED = 5;

  public static final int TIMED_OUT = 6;

  /** The server, or the node behind it, could not be reached. */
  public static final int UNAVAILABLE = 7;

  /** The guest was stopped since its time was up, as timeout(1) says it. */
  public static final int TIME_IS_UP = 124;

  /** A guest's HTTP server answered with 400 or more, as curl counts it. */
  public static final int HTTP_FAILED = 22;

  /** A command in a guest has not run, or how it ended is not known: its own status is others. */
  public static final int OF_VIREO = 125;

  /** Of a command in a guest, as shells count it. */
  public static final int NOT_EXECUTABLE = 126;

  /** Of a command in a guest, as shells count it. */
  public static final int NO_COMMAND = 127;

  /** Ctrl-C, as shells count it: 128 + SIGINT. */
  public static final int INTERRUPTED = 130;

  /** Nobody reads our output any more, as shells count it: 128 + SIGPIPE. */
  public static final int BROKEN_PIPE = 141;

  /** The table for {@code --help}. */
  static final String[] HELP = {
    "0:done",
    "1:what was asked for failed",
    "2:the command line is wrong",
    "4:not found",
    "5:refused (a bad spec, a duplicate name, a state that does not allow it)",
    "6:not reached in time",
    "7:the server or the node cannot be reached",
    "130:interrupted",
    "141:nobody reads the output any more",
  };

  private ExitCode() {}

  /** The exit code for a call that ended with {@code code}. */
  static int of(Status.Code code) {
    return switch (code) {
      case OK -> OK;
      case NOT_FOUND -> NOT_FOUND;
      case INVALID_ARGUMENT,
          ALREADY_EXISTS,
          PERMISSION_DENIED,
          UNAUTHENTICATED,
          RESOURCE_EXHAUSTED,
          FAILED_PRECONDITION,
          ABORTED,
          OUT_OF_RANGE ->
          REFUSED;
      case DEADLINE_EXCEEDED -> TIMED_OUT;
      case UNAVAILABLE -> UNAVAILABLE;
      case CANCELLED -> INTERRUPTED;
      case UNKNOWN, UNIMPLEMENTED, INTERNAL, DATA_LOSS -> FAILED;
    };
  }
}
