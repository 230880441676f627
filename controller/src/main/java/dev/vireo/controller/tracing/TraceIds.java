package dev.vireo.controller.tracing;

import io.grpc.Context;
import java.util.logging.Filter;
import java.util.logging.LogRecord;
import org.jboss.logmanager.ExtLogRecord;

/**
 * Gives each line that is logged in a traced call or reconciliation the ids of its trace and span.
 * Where nothing is traced a line costs one look into gRPC's context.
 */
public final class TraceIds implements Filter {
  /** Of the line's mapped diagnostic context, as the console's format names it. */
  static final String FIELD = "trace";

  /** What is said in a line, by its {@code toString}. Set with the current span. */
  static final Context.Key<Object> KEY = Context.key("vireo.trace-ids");

  @Override
  public boolean isLoggable(LogRecord line) {
    Object ids = KEY.get();
    if (ids != null && line instanceof ExtLogRecord record) {
      var _ = record.putMdc(FIELD, ids.toString());
    }
    return true;
  }
}
