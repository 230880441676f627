package dev.vireo.oci;

import java.io.PrintStream;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongSupplier;

/** Tells a program how far a pull is: a JSON object on a line, at most twice a second. */
final class JsonProgress implements PullProgress {
  private static final long EVERY_NANOS = 500_000_000;

  private final PrintStream out;
  private final LongSupplier nanoTime;

  private Phase phase = Phase.READ;
  private long total;
  private long done;
  private long told;

  JsonProgress(PrintStream out, LongSupplier nanoTime) {
    this.out = out;
    this.nanoTime = nanoTime;
  }

  @Override
  public synchronized void begin(Phase next, long totalBytes) {
    phase = next;
    total = totalBytes;
    done = 0;
    tell();
  }

  @Override
  public synchronized void advance(long bytes) {
    done += bytes;
    if (nanoTime.getAsLong() - told >= EVERY_NANOS) {
      tell();
    }
  }

  private void tell() {
    told = nanoTime.getAsLong();
    Map<String, Object> line = new TreeMap<>();
    line.put("phase", phase.name().toLowerCase(Locale.ROOT));
    line.put("doneBytes", done);
    if (total > 0) {
      line.put("totalBytes", total);
    }
    out.println(Json.write(line));
  }
}
