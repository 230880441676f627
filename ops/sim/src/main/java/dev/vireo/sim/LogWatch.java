package dev.vireo.sim;

import dev.vireo.sim.client.BrokenPromiseException;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.jspecify.annotations.Nullable;

/** Keeps the logs quiet, and the first error in them, which is how a daemon tells of a bug. */
final class LogWatch extends Handler implements AutoCloseable {
  private final Logger root = Logger.getLogger("");
  private @Nullable LogRecord first;

  LogWatch() {
    LogManager.getLogManager().reset();
    root.setLevel(Level.SEVERE);
    root.addHandler(this);
  }

  @Override
  public void publish(LogRecord record) {
    if (first == null && record.getLevel().intValue() >= Level.SEVERE.intValue()) {
      first = record;
    }
  }

  void throwIfAny() {
    if (first != null) {
      throw new BrokenPromiseException(
          "an error was logged: " + new SimpleFormatter().format(first));
    }
  }

  @Override
  public void flush() {}

  @Override
  public void close() {
    root.removeHandler(this);
  }
}
