package dev.vireo.bench;

import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.QueueInspection;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/** Probe guests as Vireo's microVMs: the counterpart of {@link QemuMicrovm}. */
final class VireoMicrovm {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final MicroVms microVms;
  private int started;

  VireoMicrovm(LocalCluster cluster) {
    this.microVms = cluster.microVms();
  }

  /** A running microVM and its VMM. */
  record Guest(String id, long vmmPid) {}

  /** What a program printed, and what its I/O cost in exits on the disk's registers. */
  record Finished(ProbeOutput output, double exitsPerIo, double notificationExitsPerIo) {}

  /** Runs a probe program to its end, looks at the VMM before the guest is gone, deletes it. */
  Finished run(String arguments, Path disk) throws IOException {
    String id = nextId();
    microVms.create(id, ProbeSpec.with(arguments + " probe.end=halt", disk));
    try {
      ProbeOutput output =
          ProbeOutput.parse(microVms.followLogs(id, text -> ProbeOutput.parse(text).ended()));
      output.requirePassed();
      return finished(output, microVms.inspect(id));
    } finally {
      microVms.delete(id);
      awaitGone();
    }
  }

  private static Finished finished(ProbeOutput output, Inspection inspection) {
    var device = inspection.getDevices(0);
    long requests = device.getQueuesList().stream().mapToLong(QueueInspection::getRequests).sum();
    long notificationExits =
        inspection.getExitsMap().entrySet().stream()
            .filter(exits -> exits.getKey().endsWith(".queue_notify"))
            .mapToLong(java.util.Map.Entry::getValue)
            .sum();
    return new Finished(output, device.getExitsPerIo(), (double) notificationExits / requests);
  }

  Guest startIdle() {
    String id = nextId();
    microVms.create(id, ProbeSpec.of("probe.run=idle"), Wait.WAIT_READY);
    return new Guest(id, microVms.inspect(id).getVmmPid());
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

  private String nextId() {
    return "probe-" + ++started;
  }
}
