package dev.vireo.cli.local;

import java.io.PrintStream;
import java.time.Duration;
import java.util.function.Supplier;

/** Tells a person who waits what is being waited for: each step at once, and what goes on in it. */
public final class Progress {
  private static final long BETWEEN_LINES_NANOS = Duration.ofSeconds(2).toNanos();

  private final PrintStream err;
  private long lastLineAt;
  private String lastLine = "";

  public Progress(PrintStream err) {
    this.err = err;
  }

  /** A new step begins. */
  public synchronized void step(String what) {
    print("vireo: " + what);
  }

  /** The step goes on; every two seconds, what is new about it. */
  public synchronized void still(Supplier<String> detail) {
    if (System.nanoTime() - lastLineAt < BETWEEN_LINES_NANOS) {
      return;
    }
    lastLineAt = System.nanoTime();
    String line = "         " + detail.get();
    if (!line.isBlank() && !line.equals(lastLine)) {
      print(line);
    }
  }

  private void print(String line) {
    lastLineAt = System.nanoTime();
    lastLine = line;
    err.println(line);
    err.flush();
  }
}
