package dev.vireo.oci;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Shows how far a pull is: on a terminal one line that is written anew, elsewhere a line every few
 * seconds.
 */
final class ProgressBar implements PullProgress {
  private static final int CELLS = 24;
  private static final double MIB = 1 << 20;

  private final PrintStream out;
  private final boolean terminal;
  private final LongSupplier nanoTime;
  private final long everyNanos;

  private Phase phase = Phase.READ;
  private long total;
  private long done;
  private long began;
  private long shown;

  ProgressBar(PrintStream out, boolean terminal, LongSupplier nanoTime) {
    this.out = out;
    this.terminal = terminal;
    this.nanoTime = nanoTime;
    this.everyNanos = terminal ? 100_000_000L : 3_000_000_000L;
    this.shown = nanoTime.getAsLong();
  }

  @Override
  public synchronized void begin(Phase next, long totalBytes) {
    phase = next;
    total = totalBytes;
    done = 0;
    began = nanoTime.getAsLong();
  }

  @Override
  public synchronized void advance(long bytes) {
    done += bytes;
    long now = nanoTime.getAsLong();
    if (now - shown >= everyNanos) {
      shown = now;
      out.print(terminal ? "\r\033[K" + line(now) : line(now) + "\n");
      out.flush();
    }
  }

  /** Takes the bar away. */
  synchronized void end() {
    if (terminal) {
      out.print("\r\033[K");
      out.flush();
    }
  }

  private String line(long now) {
    double seconds = Math.max(now - began, 1) / 1e9;
    String rate = "%.1f MiB/s".formatted(done / MIB / seconds);
    String what =
        switch (phase) {
          case DOWNLOAD -> "downloading";
          case READ -> "reading layers";
          case WRITE -> "writing the root";
        };
    if (total <= 0) {
      return String.format(Locale.ROOT, "%-16s %8.1f MiB  %s", what, done / MIB, rate);
    }
    int filled = Math.clamp(CELLS * done / total, 0, CELLS);
    return String.format(
        Locale.ROOT,
        "%-16s [%s%s] %8.1f / %.1f MiB  %s",
        what,
        "#".repeat(filled),
        ".".repeat(CELLS - filled),
        done / MIB,
        total / MIB,
        rate);
  }
}
