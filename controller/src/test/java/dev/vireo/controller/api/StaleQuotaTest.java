package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.probe;

import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.DeafStore;
import dev.vireo.controller.testing.TestController;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.QuotaSpec;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Quotas of a controller that hears of changes late. */
class StaleQuotaTest {
  @Test
  void whatIsGoneFromTheStoreIsNotSaidToExist(@TempDir Path directory) {
    try (DeafStore store =
            new DeafStore(
                SqliteStore.open(
                    directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry()));
        TestController controller = new TestController(store)) {
      var _ = controller.quotas.set("test", QuotaSpec.newBuilder().setMicrovms(1).build(), _ -> {});
      var _ = controller.client().createMicroVm(probe("gone"));
      store.cutOff();
      Entry entry = Store.await(store.get("microvms/test/gone")).orElseThrow();
      var _ = Store.await(store.commit(List.of(new Write.Delete(entry.key(), entry.version()))));

      ControllerTest.assertRefused(
          ErrorReason.QUOTA_EXCEEDED, () -> controller.client().createMicroVm(probe("gone")));
    }
  }
}
