package dev.vireo.controller.tracing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.TraceFlags;
import io.opentelemetry.api.trace.TraceState;
import io.opentelemetry.context.Context;
import org.jboss.logmanager.ExtLogRecord;
import org.jboss.logmanager.Level;
import org.jboss.logmanager.formatters.PatternFormatter;
import org.junit.jupiter.api.Test;

/** Which lines of the log tell of which trace they are. */
class TraceIdsTest {
  private static final String TRACE = "0af7651916cd43dd8448eb211c80319c";
  private static final String SPAN = "b7ad6b7169203331";

  private final PatternFormatter formatter = new PatternFormatter("%s%X{" + TraceIds.FIELD + "}");

  @Test
  void aLineOfATracedCallDoes() {
    Context traced =
        Context.root()
            .with(
                Span.wrap(
                    SpanContext.create(
                        TRACE, SPAN, TraceFlags.getSampled(), TraceState.getDefault())));

    assertEquals(
        "created it trace_id=" + TRACE + " span_id=" + SPAN, Current.supply(traced, this::line));
  }

  @Test
  void anotherIsAsItWas() {
    assertEquals("created it", line());
  }

  private String line() {
    ExtLogRecord record = new ExtLogRecord(Level.INFO, "created it", "test");
    assertTrue(new TraceIds().isLoggable(record));
    return formatter.format(record);
  }
}
