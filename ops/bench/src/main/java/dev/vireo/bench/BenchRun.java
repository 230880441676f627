package dev.vireo.bench;

import dev.vireo.bench.BenchReport.Pair;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.OwnedProcesses;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;

/** One run of all benchmarks: starts a private cluster, measures, and leaves nothing behind. */
final class BenchRun {
  /**
   * While memory and rates are measured: spare VMMs would share pages, and their start takes time.
   */
  static final int NO_POOL = 0;

  private final BenchPlan plan;
  private final Installation installation;
  private final Consumer<String> progress;

  BenchRun(BenchPlan plan, Installation installation, Consumer<String> progress) {
    this.plan = plan;
    this.installation = installation;
    this.progress = progress;
  }

  BenchReport run() throws Exception {
    return PrivateCluster.run(installation, this::measure);
  }

  private BenchReport measure(LocalCluster cluster) throws Exception {
    OwnedProcesses processes = cluster.processes();
    QemuMicrovm qemu = new QemuMicrovm(installation.probe(), processes);
    VireoMicrovm vireo = new VireoMicrovm(cluster);

    progress.accept("Starting a private controller and worker …");
    cluster.startController();
    cluster.startWorker(NO_POOL);

    Pair idlePss =
        new IdleMemory(vireo, qemu, progress)
            .measure("idle", plan.idleVmms(), i -> GuestSetup.of("probe.run=idle"));
    Path disk = BenchDisk.write(processes.directory().resolve("disk.raw"));
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
            BenchDisk.MIB,
            plan.readRounds(),
            plan.readTime().toMillis()));
    conditions.put("qemu", QemuMicrovm.DISK_SETTINGS);
    return conditions;
  }

  static double median(List<Double> values) {
    return new Samples(new ArrayList<>(values)).median();
  }
}
