package dev.vireo.vmm.control;

/**
 * One line for each change of state on stderr, which the worker has made a file: seconds since this
 * VMM was first ready, and what happened.
 */
final class Log {
  private static final long START_NANOS = System.nanoTime();

  private Log() {}

  @SuppressWarnings("SystemOut") // It is the log.
  static void line(String what) {
    long millis = (System.nanoTime() - START_NANOS) / 1_000_000;
    String fraction = Long.toString(1000 + millis % 1000).substring(1);
    System.err.println("[" + millis / 1000 + "." + fraction + "] " + what);
  }

  @SuppressWarnings({"SystemOut", "PrintStackTrace"}) // A bug of ours: all that is known of it.
  static void bug(String what, Throwable cause) {
    line(what + ": " + cause);
    cause.printStackTrace();
  }
}
