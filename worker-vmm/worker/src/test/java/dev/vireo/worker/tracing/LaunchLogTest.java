package dev.vireo.worker.tracing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.tracing.LaunchTrace.Milestone;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.SimpleFormatter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Which lines of the log tell of which trace they are. */
class LaunchLogTest {
  private static final String NAME = "projects/default/microvms/web-1";
  private static final String PLAIN = NAME + ": rejected, NO_ROOM";

  private final LaunchSpans spans = new LaunchSpans("n");
  private final LaunchTrace trace =
      spans.tracer().follow(Assignment.newBuilder().setName(NAME).build(), LaunchSpans.TRACEPARENT);

  @AfterEach
  void close() {
    spans.close();
  }

  @Test
  void thoseOfALaunchDoUntilItIsReady() {
    trace.reached(Milestone.RUNNING);
    String before = line(NAME);
    trace.reached(Milestone.READY);
    String after = line(NAME);

    String span = spans.one("reconcile").getSpanId();
    assertEquals(PLAIN + " trace_id=" + LaunchSpans.TRACE + " span_id=" + span, before);
    assertEquals(PLAIN, after);
  }

  @Test
  void theOneThatTellsOfItsFailureIsTheLast() {
    trace.ended("for the test");

    String first = line(NAME);

    assertTrue(first.startsWith(PLAIN + " trace_id="), first);
    assertEquals(PLAIN, line(NAME));
  }

  @Test
  void anotherMicroVmsDoNot() {
    assertEquals("another: rejected, NO_ROOM", line("another"));
  }

  private String line(String microVm) {
    LogRecord line = new LogRecord(Level.INFO, "{0}: rejected, {1}");
    line.setParameters(new Object[] {microVm, "NO_ROOM"});
    assertTrue(spans.log().isLoggable(line));
    return new SimpleFormatter().formatMessage(line);
  }
}
