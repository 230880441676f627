package dev.vireo.images;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/** Is told what a long task is doing, each time it turns to something that may take a while. */
@FunctionalInterface
public interface Progress {
  /** A step begins, for example "unpacking linux-image-6.1.0-50-cloud-amd64". */
  void step(String what);

  /** Lines for people: seconds since now, and the step. */
  static Progress to(PrintStream out, LongSupplier nanoTime) {
    long start = nanoTime.getAsLong();
    return what ->
        out.printf(Locale.ROOT, "%6.1f s  %s%n", (nanoTime.getAsLong() - start) / 1e9, what);
  }
}
