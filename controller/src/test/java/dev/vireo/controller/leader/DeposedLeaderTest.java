package dev.vireo.controller.leader;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException.NotLeader;
import dev.vireo.controller.store.StoreException.OutcomeUnknown;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.testing.LateStore;
import dev.vireo.controller.testing.ManualTime;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.store.v1.RequestRecord;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.MicroVmSpec;
import io.grpc.StatusRuntimeException;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is in doubt when its controller leads no more. */
class DeposedLeaderTest {
  @TempDir private Path directory;

  private final ManualTime time = new ManualTime();
  private final Leadership leadership = Leadership.elected(time);
  private LateStore store;

  @BeforeEach
  void elect() {
    store =
        new LateStore(
            SqliteStore.open(
                directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry()));
    Write key = new Write.Put(LeaderElection.KEY, Write.ABSENT, ByteString.copyFromUtf8("me"));
    long term = Store.await(store.commit(List.of(key)));
    leadership.elect(term, time.nanoTime() + Duration.ofHours(1).toNanos());
  }

  @AfterEach
  void close() {
    store.close();
  }

  @Test
  void theStoreIsAskedWhatBecameOfIt() {
    try (TestController controller =
        new TestController(
            store, time, leadership, UUID.randomUUID().toString(), Duration.ofMillis(200))) {
      store.loseNext(false);
      CreateMicroVmRequest request = TestController.probe("lost");
      assertThrows(StatusRuntimeException.class, () -> controller.client().createMicroVm(request));
      assertEquals(1, microVmsCounted(controller));

      leadership.depose(false);

      Awaitility.await().until(() -> microVmsCounted(controller) == 0);
    }
  }

  private static int microVmsCounted(TestController controller) {
    return controller.quotas.view(controller.quotas.get("test")).getStatus().getMicrovms();
  }

  /** It may lead on, in the same term, for which the store may do it yet. */
  @Test
  void thatItMayNotWriteIsNoAnswerOfTheStore() {
    try (MicroVms microVms = MicroVms.open(leadership.fence(store), Duration.ofHours(1))) {
      store.loseNext(true);
      assertThrows(OutcomeUnknown.class, () -> create(microVms, "lost"));

      leadership.depose(false);

      assertThrows(NotLeader.class, () -> create(microVms, "other"));
      assertTrue(microVms.isInDoubt("lost"));
      assertTrue(microVms.settleDoubts());
      assertFalse(microVms.isInDoubt("lost"));
      assertEquals(1, microVms.all().size());
    }
  }

  private static void create(MicroVms microVms, String id) {
    MicroVmName name = new MicroVmName("test", id);
    var _ =
        microVms.create(
            name,
            Lifecycle.created(
                name.toString(),
                id,
                MicroVmSpec.getDefaultInstance(),
                Map.of(),
                Map.of(),
                Instant.EPOCH),
            "",
            RequestRecord.getDefaultInstance());
  }
}
