package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.proto.v1.MicroVm;
import java.time.Duration;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * A private controller and worker for the tests of a class, registered as a static extension. Each
 * test leaves no microVM behind; the class leaves no process and no file.
 */
final class ClusterExtension implements BeforeAllCallback, AfterEachCallback, AfterAllCallback {
  static final Duration PATIENCE = Duration.ofSeconds(20);

  private final int pool;
  private @Nullable OwnedProcesses processes;
  private @Nullable LocalCluster cluster;

  /**
   * @param pool VMM processes that the worker keeps ready
   */
  ClusterExtension(int pool) {
    this.pool = pool;
  }

  @Override
  public void beforeAll(ExtensionContext context) throws Exception {
    processes = OwnedProcesses.create("vireo-test");
    cluster = LocalCluster.create(Installation.find(), processes);
    cluster.startController();
    cluster.startWorker(pool);
  }

  LocalCluster cluster() {
    return Objects.requireNonNull(cluster);
  }

  MicroVms microVms() {
    return cluster().microVms();
  }

  int pool() {
    return pool;
  }

  @Override
  public void afterEach(ExtensionContext context) {
    for (MicroVm microVm : microVms().list()) {
      String name = microVm.getMeta().getName();
      microVms().delete(name.substring(name.lastIndexOf('/') + 1));
    }
    await().atMost(PATIENCE).until(() -> microVms().list().isEmpty());
  }

  @Override
  public void afterAll(ExtensionContext context) throws Exception {
    if (cluster != null) {
      cluster.close();
    }
    if (processes != null) {
      processes.close();
    }
  }
}
