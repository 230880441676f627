package dev.vireo.bench;

import dev.vireo.bench.BenchReport.Pair;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;

/** One run of all benchmarks: starts a private cluster, measures, and leaves nothing behind. */
final class BenchRun {
  private static final int DISK_MIB = 256;

  /** VMMs kept ready while memory is measured: they would share pages with those that are. */
  private static final int SMALLEST_POOL = 1;

  private final BenchPlan plan;
  private final Installation installation;
  private final Consumer<String> progress;

  BenchRun(BenchPlan plan, Installation installation, Consumer<String> progress) {
    this.plan = plan;
    this.installation = installation;
    this.progress = progress;
  }

  BenchReport run() throws Exception {
    try (OwnedProcesses processes = OwnedProcesses.create("vireo-bench")) {
      Thread onInterrupt = new Thread(() -> closeQuietly(processes));
      Runtime.getRuntime().addShutdownHook(onInterrupt);
      try (LocalCluster cluster = LocalCluster.create(installation, processes)) {
        return measure(cluster, processes);
      } finally {
        Runtime.getRuntime().removeShutdownHook(onInterrupt);
      }
    }
  }

  private BenchReport measure(LocalCluster cluster, OwnedProcesses processes) throws Exception {
    QemuMicrovm qemu = new QemuMicrovm(installation.probe(), processes);
    VireoMicrovm vireo = new VireoMicrovm(cluster);

    progress.accept("Starting a private controller and worker …");
    cluster.startController();
    cluster.startWorker(SMALLEST_POOL);

    Pair idlePss = new IdleMemory(vireo, qemu, progress).measure(plan.idleVmms());
    Path disk = writeDisk(processes.directory().resolve("disk.raw"));
    BlockReads reads = new BlockReads(vireo, qemu, disk, plan, progress);
    BlockReads.Result depth1 = reads.measure(1);
    BlockReads.Result depth32 = reads.measure(32);

    cluster.stopWorker();
    cluster.startWorker(plan.burst());
    Creates creates = new Creates(cluster, vireo, plan, progress);
    Creates.Latencies latencies = creates.measureLatencies();
    double createsPerSecond = creates.measureRate();

    return new BenchReport(
        conditions(),
        latencies.specReceivedMillis(),
        latencies.firstInstructionMillis(),
        latencies.firstConsoleByteMillis(),
        idlePss,
        depth1.iops(),
        depth32.iops(),
        depth1.userExitsPerIo(),
        depth1.notificationExitsPerIo(),
        createsPerSecond);
  }

  /** Random bytes, so that nothing is sparse; writing them leaves them in the host's page cache. */
  private static Path writeDisk(Path path) throws IOException {
    Random random = new Random(1);
    byte[] mebibyte = new byte[1 << 20];
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      for (int i = 0; i < DISK_MIB; i++) {
        random.nextBytes(mebibyte);
        file.write(mebibyte);
      }
      file.getFD().sync(); // written back now, not while something is measured
    }
    return path;
  }

  private Map<String, Object> conditions() {
    Map<String, Object> conditions = new LinkedHashMap<>();
    conditions.put(
        "samples",
        plan.bootSamples() + " creates, one each " + plan.bootInterval().toMillis() + " ms");
    conditions.put("pool", plan.burst() + " pre-started VMMs, full before the creates begin");
    conditions.put("burst", plan.burst() + " creates, the pool full at the start");
    conditions.put("idle", plan.idleVmms() + " VMMs of each kind, 128 MiB guests in HLT");
    conditions.put(
        "reads",
        String.format(
            Locale.ROOT,
            "random, %d MiB file in the host's page cache, medians of %d × %d ms, interleaved",
            DISK_MIB,
            plan.readRounds(),
            plan.readTime().toMillis()));
    conditions.put("qemu", QemuMicrovm.DISK_SETTINGS);
    return conditions;
  }

  private static void closeQuietly(OwnedProcesses processes) {
    try {
      processes.close();
    } catch (IOException e) {
      System.err.println("vireo bench: " + e.getMessage());
    }
  }

  static double median(List<Double> values) {
    return new Samples(new ArrayList<>(values)).median();
  }
}
