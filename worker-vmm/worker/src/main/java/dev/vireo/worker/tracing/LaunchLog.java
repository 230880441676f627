package dev.vireo.worker.tracing;

import io.opentelemetry.api.trace.SpanContext;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.logging.Filter;
import java.util.logging.LogRecord;
import org.jspecify.annotations.Nullable;

/**
 * Gives each line about a microVM, whose name is its first parameter, the ids of the trace and the
 * span of its launch: until that is ready, or has failed and that has been said. Thread-safe.
 */
final class LaunchLog implements Filter {
  /** One of which nothing is heard any more gives way to others. */
  private static final int MOST = 10_000;

  /** By the microVM's name, the oldest first. Guarded by itself. */
  private final Map<String, Launch> launches =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Launch> eldest) {
          return size() > MOST;
        }
      };

  private record Launch(SpanContext span, boolean over) {}

  void begin(String microVm, SpanContext span) {
    synchronized (launches) {
      launches.put(microVm, new Launch(span, false));
    }
  }

  /** Nothing more is said of it. */
  void ready(String microVm) {
    synchronized (launches) {
      launches.remove(microVm);
    }
  }

  /** One more line tells so. */
  void failed(String microVm) {
    synchronized (launches) {
      var _ = launches.computeIfPresent(microVm, (_, launch) -> new Launch(launch.span, true));
    }
  }

  @Override
  public boolean isLoggable(LogRecord line) {
    Object[] parameters = line.getParameters();
    if (parameters != null && parameters.length > 0 && parameters[0] instanceof String microVm) {
      SpanContext span = find(microVm);
      if (span != null) {
        line.setMessage(
            "%s trace_id=%s span_id=%s"
                .formatted(line.getMessage(), span.getTraceId(), span.getSpanId()));
      }
    }
    return true;
  }

  private @Nullable SpanContext find(String microVm) {
    synchronized (launches) {
      Launch launch = launches.get(microVm);
      if (launch == null) {
        return null;
      }
      if (launch.over) {
        launches.remove(microVm);
      }
      return launch.span;
    }
  }
}
