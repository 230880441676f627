package dev.vireo.bench;

import dev.vireo.bench.BenchReport.Pair;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.Vmm;
import dev.vireo.proto.v1.VmmCompiler;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * One run of the device benchmarks: every workload on every machine in turn, round by round, so
 * that what else this computer does meets them alike.
 */
final class DevicesRun {
  private final DevicesPlan plan;
  private final Installation installation;
  private final Consumer<String> progress;

  DevicesRun(DevicesPlan plan, Installation installation, Consumer<String> progress) {
    this.plan = plan;
    this.installation = installation;
    this.progress = progress;
  }

  DevicesReport run() throws Exception {
    BenchNetwork.create(plan.idleVmms());
    return PrivateCluster.run(installation, this::measure);
  }

  private DevicesReport measure(LocalCluster cluster) throws Exception {
    VireoMicrovm vireo = vireo(cluster, "lazy", page(RegisterPageMode.REGISTER_PAGE_LAZY));
    QemuMicrovm qemu = new QemuMicrovm(installation.probe(), cluster.processes());
    Machines machines =
        new Machines(
            vireo,
            vireo(cluster, "strict", page(RegisterPageMode.REGISTER_PAGE_STRICT)),
            vireo(cluster, "classic", page(RegisterPageMode.REGISTER_PAGE_CLASSIC)),
            vireo(cluster, "fast", Vmm.newBuilder().setCompiler(VmmCompiler.VMM_COMPILER_FAST)),
            qemu);
    progress.accept("Starting a private controller and worker …");
    cluster.startController();
    cluster.startWorker(BenchRun.NO_POOL);
    Path directory = cluster.processes().directory();

    Map<Workload, DevicesReport.Result> results = measureAll(workloads(directory), machines);
    Optional<VsockEcho.Result> vsock =
        plan.wants("vsock")
            ? Optional.of(new VsockEcho(vireo, plan, progress).measure())
            : Optional.empty();
    Optional<Pair> idlePss =
        plan.wants("idle")
            ? Optional.of(measureIdle(vireo, qemu, idleGuests(directory)))
            : Optional.empty();
    return new DevicesReport(conditions(), results, vsock, idlePss);
  }

  private Pair measureIdle(VireoMicrovm vireo, QemuMicrovm qemu, List<GuestSetup> guests)
      throws IOException {
    return new IdleMemory(vireo, qemu, progress).measure("all devices", guests.size(), guests::get);
  }

  private List<Workload> workloads(Path directory) throws IOException {
    List<Workload> workloads =
        new ArrayList<>(Workload.ofDisk(BenchDisk.write(directory.resolve("disk.raw"))));
    workloads.addAll(Workload.ofNetwork(BenchNetwork.TAP));
    workloads.removeIf(workload -> !plan.wants(workload.group() + "." + workload.point()));
    return plan.everyPoint() ? workloads : firstOfEachGroup(workloads);
  }

  private static List<Workload> firstOfEachGroup(List<Workload> workloads) {
    Set<String> seen = new HashSet<>();
    return workloads.stream().filter(workload -> seen.add(workload.group())).toList();
  }

  /**
   * Who is to run each workload: VMMs of ours, by the mode of their register pages and by how they
   * are compiled, and QEMU.
   */
  private record Machines(
      ProbeMachine lazy,
      ProbeMachine strict,
      ProbeMachine classic,
      ProbeMachine fast,
      ProbeMachine qemu) {}

  private static Vmm.Builder page(RegisterPageMode mode) {
    return Vmm.newBuilder().setRegisterPage(mode);
  }

  private static VireoMicrovm vireo(LocalCluster cluster, String name, Vmm.Builder options) {
    return new VireoMicrovm(cluster, name, options.build());
  }

  private Map<Workload, DevicesReport.Result> measureAll(
      List<Workload> workloads, Machines machines) throws IOException {
    Map<Workload, DevicesReport.Result> results = new LinkedHashMap<>();
    for (Workload workload : workloads) {
      results.put(
          workload,
          new DevicesReport.Result(
              new Series(), new Series(), new Series(), new Series(), new Series()));
    }
    for (int round = 1; round <= plan.rounds(); round++) {
      for (Map.Entry<Workload, DevicesReport.Result> entry : results.entrySet()) {
        progress.accept(
            "Round %d of %d: %s …".formatted(round, plan.rounds(), entry.getKey().title()));
        List<Turn> turns = turns(machines, entry.getValue());
        for (Turn turn : round % 2 == 0 ? turns.reversed() : turns) {
          turn.take(entry.getKey(), plan.time().toMillis());
        }
      }
    }
    return results;
  }

  private record Turn(ProbeMachine machine, Series series) {
    void take(Workload workload, long millis) throws IOException {
      series.add(workload, machine.run(workload.lasting(millis)));
    }
  }

  private static List<Turn> turns(Machines machines, DevicesReport.Result result) {
    return List.of(
        new Turn(machines.lazy(), result.lazy()),
        new Turn(machines.qemu(), result.qemu()),
        new Turn(machines.strict(), result.strict()),
        new Turn(machines.classic(), result.classic()),
        new Turn(machines.fast(), result.fast()));
  }

  /** Each with every device, a disk and an interface of its own. */
  private List<GuestSetup> idleGuests(Path directory) throws IOException {
    List<GuestSetup> guests = new ArrayList<>();
    for (int i = 0; i < plan.idleVmms(); i++) {
      Path disk = directory.resolve("idle" + i + ".raw");
      try (RandomAccessFile file = new RandomAccessFile(disk.toFile(), "rw")) {
        file.setLength(1 << 20);
      }
      guests.add(
          GuestSetup.of("probe.run=idle")
              .withDisk(disk)
              .withTap(BenchNetwork.idleTap(i))
              .with(EnumSet.allOf(GuestSetup.Device.class)));
    }
    return guests;
  }

  private Map<String, String> conditions() throws IOException {
    Map<String, String> conditions = new LinkedHashMap<>();
    conditions.put(
        "rounds",
        String.format(
            Locale.ROOT,
            "medians of %d × %d ms, all machines in turn; in brackets least and most",
            plan.rounds(),
            plan.time().toMillis()));
    conditions.put("disk", BenchDisk.MIB + " MiB file in the host's page cache, random blocks");
    conditions.put("network", "one tap, whose host end routes each packet back; no vhost");
    conditions.put(
        "CPU",
        "user and system time of the whole VMM process, its vCPU in the guest included, for each");
    conditions.put("idle", plan.idleVmms() + " of each kind, 128 MiB guests in HLT");
    conditions.put("qemu", QemuMicrovm.DISK_SETTINGS);
    conditions.put("load", Files.readString(Path.of("/proc/loadavg")).strip());
    return conditions;
  }
}
