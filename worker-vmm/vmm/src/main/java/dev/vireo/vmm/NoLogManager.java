package dev.vireo.vmm;

import java.io.IOException;
import java.util.logging.LogManager;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * A {@code java.util.logging} that is left alone: jffi asks for a logger as it loads, for messages
 * that nobody wants, and a configured one would cost every VMM some two hundred classes. Chosen by
 * {@code java.util.logging.manager}.
 */
public final class NoLogManager extends LogManager {
  /** Only the JVM makes one. */
  public NoLogManager() {}

  /** Failing here is what keeps the JVM from looking for other logging systems. */
  @Override
  public void readConfiguration() throws IOException {
    throw new IOException("logging is not configured");
  }

  /** Every logger is new and nobody's child: at level INFO, with no handler. */
  @Override
  public boolean addLogger(Logger logger) {
    return true;
  }

  @Override
  public @Nullable Logger getLogger(String name) {
    return null;
  }
}
