package dev.vireo.bench;

import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.Patience;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.Balloon;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.Entropy;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.QueueInspection;
import dev.vireo.proto.v1.VirtioConsole;
import dev.vireo.proto.v1.Vmm;
import dev.vireo.proto.v1.Vsock;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/** Probe guests as Vireo's microVMs: the counterpart of {@link QemuMicrovm}. */
final class VireoMicrovm implements ProbeMachine {
  private static final Duration PATIENCE = Patience.ofSeconds(30);

  private final MicroVms microVms;
  private final Vmm options;
  private final String prefix;
  private int started;

  /**
   * @param name of the contender, which begins its microVMs' names
   * @param options how its VMMs work
   */
  VireoMicrovm(LocalCluster cluster, String name, Vmm options) {
    this.microVms = cluster.microVms();
    this.options = options;
    this.prefix = name;
  }

  VireoMicrovm(LocalCluster cluster) {
    this(cluster, "probe", Vmm.getDefaultInstance());
  }

  /** A running microVM and its VMM. */
  record Guest(String id, long vmmPid) {}

  @Override
  public Finished run(GuestSetup setup) throws IOException {
    Guest guest = start(setup.with("probe.end=halt"));
    try {
      double before = ProcessTime.cpuSeconds(guest.vmmPid());
      ProbeOutput output =
          ProbeOutput.parse(
              microVms.followLogs(guest.id(), text -> ProbeOutput.parse(text).ended()));
      double cpuSeconds = ProcessTime.cpuSeconds(guest.vmmPid()) - before;
      return finished(output.requirePassed(), cpuSeconds, microVms.inspect(guest.id()));
    } finally {
      delete(guest);
      awaitGone();
    }
  }

  private static Finished finished(ProbeOutput output, double cpuSeconds, Inspection inspection) {
    var device = inspection.getDevices(0);
    long requests = device.getQueuesList().stream().mapToLong(QueueInspection::getRequests).sum();
    long notificationExits =
        inspection.getExitsMap().entrySet().stream()
            .filter(exits -> exits.getKey().endsWith(".queue_notify"))
            .mapToLong(java.util.Map.Entry::getValue)
            .sum();
    return new Finished(
        output, cpuSeconds, device.getExitsPerIo(), (double) notificationExits / requests);
  }

  /** Starts a guest and waits until it has said so. */
  Guest start(GuestSetup setup) {
    String id = prefix + "-" + ++started;
    microVms.create(id, spec(setup), Wait.WAIT_READY);
    return new Guest(id, microVms.inspect(id).getVmmPid());
  }

  private MicroVmSpec spec(GuestSetup setup) {
    MicroVmSpec.Builder spec = ProbeSpec.of(setup.arguments()).toBuilder().setVmm(options);
    if (setup.disk() != null) {
      spec.addDisks(Disk.newBuilder().setId("disk0").setSource(setup.disk().toString()));
    }
    if (setup.tap() != null) {
      spec.addNetworks(Network.newBuilder().setId("net0").setTap(setup.tap()));
    }
    for (GuestSetup.Device device : setup.more()) {
      var _ =
          switch (device) {
            case VSOCK -> spec.setVsock(Vsock.getDefaultInstance());
            case ENTROPY -> spec.setEntropy(Entropy.getDefaultInstance());
            case CONSOLE ->
                spec.setVirtioConsole(
                    VirtioConsole.newBuilder()
                        .addPorts(ConsolePort.newBuilder().setName("hvc0").setConsole(true)));
            case BALLOON -> spec.setBalloon(Balloon.getDefaultInstance());
          };
    }
    return spec.build();
  }

  /** Where the host's processes reach the guest's vsock. */
  Path vsockSocket(Guest guest) {
    return Path.of(microVms.get(guest.id()).getStatus().getVsock().getSocket());
  }

  void delete(Guest guest) {
    microVms.delete(guest.id());
  }

  /** Until no microVM is left, also not one that is being cleaned up. */
  void awaitGone() {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!microVms.list().isEmpty()) {
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException(
            "microVMs were not deleted in " + PATIENCE.toSeconds() + " s");
      }
      LockSupport.parkNanos(Duration.ofMillis(10).toNanos());
    }
  }
}
