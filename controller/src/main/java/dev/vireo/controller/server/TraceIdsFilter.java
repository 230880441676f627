package dev.vireo.controller.server;

import dev.vireo.controller.tracing.TraceIds;
import io.quarkus.logging.LoggingFilter;
import java.util.logging.Filter;
import java.util.logging.LogRecord;

/** {@link TraceIds} by the name that {@code quarkus.log.console.filter} has for it. */
@LoggingFilter(name = "trace-ids")
public final class TraceIdsFilter implements Filter {
  private final Filter ids = new TraceIds();

  @Override
  public boolean isLoggable(LogRecord line) {
    return ids.isLoggable(line);
  }
}
