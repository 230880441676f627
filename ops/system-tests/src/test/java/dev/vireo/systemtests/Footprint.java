package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.bench.cluster.LocalCluster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * What a cluster occupies while it runs nothing: its processes (the pool's too), its files and
 * sockets, and the descriptors of its controller and worker.
 */
record Footprint(long processes, long files, long controllerDescriptors, long workerDescriptors) {
  /** Class files, thread pools and connections that come with first use. */
  private static final long DESCRIPTORS_OF_FIRST_USE = 12;

  static Footprint of(LocalCluster cluster) throws IOException {
    return new Footprint(
        cluster.processes().alive().size(),
        countFiles(cluster.stateDirectory()),
        countDescriptors(cluster.controllerPid()),
        countDescriptors(cluster.workerPid()));
  }

  private static long countFiles(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      return files.count();
    }
  }

  private static long countDescriptors(long pid) throws IOException {
    try (Stream<Path> descriptors = Files.list(Path.of("/proc/" + pid + "/fd"))) {
      return descriptors.count();
    }
  }

  /** Waits until the cluster, which runs nothing any more, occupies no more than this again. */
  void awaitAgain(LocalCluster cluster) throws IOException {
    await()
        .atMost(ClusterExtension.PATIENCE)
        .ignoreExceptions() // files come and go while they are counted
        .until(() -> {
          Footprint now = of(cluster);
          return now.processes == processes && now.files <= files;
        });
    Footprint now = of(cluster);
    assertTrue(
        now.controllerDescriptors <= controllerDescriptors + DESCRIPTORS_OF_FIRST_USE
            && now.workerDescriptors <= workerDescriptors + DESCRIPTORS_OF_FIRST_USE,
        () -> "descriptors leak: " + this + " became " + now);
  }
}
