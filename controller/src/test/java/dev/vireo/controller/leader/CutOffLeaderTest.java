package dev.vireo.controller.leader;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What becomes of workers that dial a controller which has led and cannot reach the store: another
 * one, which has not heard either, names it still.
 */
class CutOffLeaderTest {
  private static final Duration PATIENCE = Duration.ofSeconds(5);

  @TempDir private Path directory;

  /** It stands still: nobody waits for so long. */
  private final Leadership leadership = Leadership.elected(new ManualTime());

  private Store store;
  private TestController controller;

  @BeforeEach
  void start() {
    store =
        SqliteStore.open(
            directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
    controller = new TestController(store, new ManualTime(), leadership, "here", PATIENCE);
    leadership.elect(1, Long.MAX_VALUE);
  }

  @AfterEach
  void stop() {
    controller.close();
    store.close();
  }

  @Test
  void theyAreSentOnAtOnce() {
    leadership.depose(true);

    Throwable end = controller.dial().say(FakeWorker.hello("a").build()).awaitEnd();

    assertNotNull(end);
    assertEquals(Optional.of(ErrorReason.NO_LEADER), Errors.reasonOf(end));
  }

  @Test
  void theyWaitWithItOnceItKnowsThatNobodyLeads() {
    leadership.depose(true);
    leadership.follow(Optional.empty());

    FakeWorker worker = controller.dial().say(FakeWorker.hello("a").build());

    await().during(Duration.ofMillis(300)).until(worker::hasHeardNothing);
    leadership.follow(Optional.of("there"));
    assertEquals("there", Errors.metadataOf(worker.awaitEnd()).get("leader"));
  }
}
