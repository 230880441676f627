package dev.vireo.controller.leader;

import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.controller.testing.Spans;
import dev.vireo.controller.testing.TestController;
import dev.vireo.controller.time.TimeSource;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.opentelemetry.api.trace.SpanId;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.sdk.trace.data.SpanData;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The trace of a call that a follower sends on. */
final class ForwardedTraceTest {
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  @TempDir private Path directory;

  @Test
  void theLeadersSpanIsAGrandchildOfTheFollowers() {
    ManualTime time = new ManualTime();
    Leadership follows = Leadership.elected(TimeSource.system());
    try (Spans spans = new Spans();
        Store store =
            SqliteStore.open(
                directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
        TestController leader =
            new TestController(
                store, time, Leadership.sole(time), "leads", PATIENCE, spans.tracing());
        TestController follower =
            new TestController(store, time, follows, "follows", PATIENCE, spans.tracing())) {
      follows.follow(Optional.of("leads"));
      follower.client().createMicroVm(probe("vm"));

      String create = "vireo.v1.MicroVmService/CreateMicroVm";
      spans.awaitNames(create, create, create, "schedule", "commit");
      List<SpanData> calls =
          spans.all().stream().filter(span -> span.getName().equals(create)).toList();
      SpanData first = withParent(SpanId.getInvalid(), calls);
      SpanData onward = withParent(first.getSpanId(), calls);
      SpanData second = withParent(onward.getSpanId(), calls);
      spans.assertOneTree(first);
      assertEquals(1, leader.microVms.all().size());
      assertEquals(SpanKind.SERVER, first.getKind());
      assertEquals(SpanKind.CLIENT, onward.getKind());
      assertEquals(SpanKind.SERVER, second.getKind());
      assertEquals(second.getSpanId(), spans.one("commit").getParentSpanId());
    }
  }

  private static SpanData withParent(String id, List<SpanData> spans) {
    return spans.stream()
        .filter(span -> span.getParentSpanId().equals(id))
        .findFirst()
        .orElseThrow(() -> new AssertionError("none with parent " + id + " in " + spans));
  }
}
