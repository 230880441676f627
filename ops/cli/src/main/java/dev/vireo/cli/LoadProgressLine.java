package dev.vireo.cli;

import dev.vireo.proto.v1.LoadProgress;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Tells a person at a terminal how far an image is on its way to nodes, if it takes over two
 * seconds: in one line, once a second. Thread-safe.
 */
final class LoadProgressLine {
  private static final Duration FIRST = Duration.ofSeconds(2);
  private static final Duration BETWEEN = Duration.ofSeconds(1);

  private final Environment environment;
  private final long totalBytes;
  private final Map<String, String> byNode = new TreeMap<>();
  private Instant due;
  private int width;

  LoadProgressLine(Environment environment, long totalBytes) {
    this.environment = environment;
    this.totalBytes = totalBytes;
    this.due = environment.clock().instant().plus(FIRST);
  }

  /** So much of it has been sent to a node. */
  void sent(String node, long bytes) {
    tell(node, "%d %%".formatted(totalBytes == 0 ? 100 : bytes * 100 / totalBytes));
  }

  /** A node has all of it, and is at work. */
  void told(String node, LoadProgress progress) {
    tell(
        node,
        switch (progress.getPhase()) {
          case WAITING -> "waits for others";
          case MAKING ->
              progress.getDoneBytes() == 0
                  ? "makes its root"
                  : "makes its root (%s)".formatted(Text.bytes(progress.getDoneBytes()));
          case RECEIVING, PHASE_UNSPECIFIED, UNRECOGNIZED -> "";
        });
  }

  /** A node is ready with it, in whatever way. */
  synchronized void done(String node) {
    byNode.remove(node);
  }

  private synchronized void tell(String node, String what) {
    byNode.put(node, what);
    Instant now = environment.clock().instant();
    if (environment.terminal() && !now.isBefore(due)) {
      due = now.plus(BETWEEN);
      String line =
          byNode.entrySet().stream()
              .map(entry -> Api.id(entry.getKey()) + " " + entry.getValue())
              .collect(Collectors.joining(", ", "vireo: ", ""));
      environment.err().print("\r" + line + " ".repeat(Math.max(0, width - line.length())));
      environment.err().flush();
      width = line.length();
    }
  }

  synchronized void end() {
    if (width > 0) {
      environment.err().println();
      width = 0;
    }
  }
}
