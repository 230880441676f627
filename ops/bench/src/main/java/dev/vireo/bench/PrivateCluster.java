package dev.vireo.bench;

import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.IOException;

/** A cluster for one run, of which nothing is left behind, also not on Ctrl-C. */
public final class PrivateCluster {
  private PrivateCluster() {}

  /** What is done with it; neither controller nor worker has been started. */
  public interface Work<T> {
    T with(LocalCluster cluster) throws Exception;
  }

  public static <T> T run(Installation installation, Work<T> work) throws Exception {
    try (OwnedProcesses processes = OwnedProcesses.create("vireo-bench")) {
      Thread onInterrupt = new Thread(() -> closeQuietly(processes));
      Runtime.getRuntime().addShutdownHook(onInterrupt);
      try (LocalCluster cluster = LocalCluster.create(installation, processes)) {
        return work.with(cluster);
      } finally {
        Runtime.getRuntime().removeShutdownHook(onInterrupt);
      }
    }
  }

  private static void closeQuietly(OwnedProcesses processes) {
    try {
      processes.close();
    } catch (IOException e) {
      System.err.println("vireo bench: " + e.getMessage());
    }
  }
}
