package dev.vireo.cli;

import java.time.Duration;
import java.time.Instant;

/**
 * Tells a person at a terminal how much has been copied, if it takes over two seconds: in one line,
 * once a second.
 */
final class CopyProgress implements AutoCloseable {
  private static final Duration FIRST = Duration.ofSeconds(2);
  private static final Duration BETWEEN = Duration.ofSeconds(1);

  private final Environment environment;
  private Instant due;
  private long bytes;
  private boolean shown;

  CopyProgress(Environment environment) {
    this.environment = environment;
    this.due = environment.clock().instant().plus(FIRST);
  }

  /** So much more has been copied. */
  void add(int count) {
    bytes += count;
    Instant now = environment.clock().instant();
    if (environment.terminal() && !now.isBefore(due)) {
      due = now.plus(BETWEEN);
      shown = true;
      environment.err().print("\rvireo: %s copied ".formatted(Text.bytes(bytes)));
      environment.err().flush();
    }
  }

  @Override
  public void close() {
    if (shown) {
      environment.err().println();
    }
  }
}
