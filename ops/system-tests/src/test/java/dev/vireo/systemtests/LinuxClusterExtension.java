package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;

import dev.vireo.proto.v1.Architecture;
import java.io.IOException;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ExtensionContext.Store;

/**
 * Gives the classes of a run one {@link LinuxCluster} between them, since it takes long to start.
 * It ends with the run; each test leaves no microVM behind.
 */
final class LinuxClusterExtension implements BeforeAllCallback, AfterEachCallback {
  private final List<Architecture> architectures;
  private @Nullable LinuxCluster cluster;

  /** With a node of each of these architectures. */
  LinuxClusterExtension(Architecture... architectures) {
    this.architectures = List.of(architectures);
  }

  @Override
  public void beforeAll(ExtensionContext context) throws Exception {
    Store ofTheRun = context.getRoot().getStore(Namespace.create(LinuxCluster.class));
    @Nullable LinuxCluster shared = ofTheRun.get(LinuxCluster.class, LinuxCluster.class);
    if (shared == null) {
      shared = LinuxCluster.start();
      ofTheRun.put(LinuxCluster.class, shared);
    }
    shared.requireNodes(architectures);
    cluster = shared;
  }

  LinuxCluster cluster() {
    return Objects.requireNonNull(cluster);
  }

  @Override
  public void afterEach(ExtensionContext context) throws IOException {
    if (context.getExecutionException().isPresent()) {
      cluster().replaceNodesThatStandStill();
    }
    LinuxGuests guests = cluster().guests();
    guests.deleteAll();
    await().atMost(LinuxCluster.PATIENCE).until(() -> guests.list().isEmpty());
  }
}
