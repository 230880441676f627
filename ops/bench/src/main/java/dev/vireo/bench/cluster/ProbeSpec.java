package dev.vireo.bench.cluster;

import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.MicroVmSpec;
import java.nio.file.Path;

/** Specs of microVMs with the probe guest: one vCPU, 128 MiB. */
public final class ProbeSpec {
  private static final int MEMORY_MIB = 128;

  private ProbeSpec() {}

  /**
   * A guest without a disk.
   *
   * @param arguments as ops/guest/probe/README.md lists them
   */
  public static MicroVmSpec of(String arguments) {
    return MicroVmSpec.newBuilder()
        .setVcpus(1)
        .setMemoryMib(MEMORY_MIB)
        .setBoot(
            Boot.newBuilder()
                .setKernel(LocalCluster.PROBE_IMAGE)
                .setAnnouncement(Announcement.CMDLINE)
                .setCommandLine(arguments))
        .build();
  }

  /** A guest with a writable disk, a raw file. */
  public static MicroVmSpec with(String arguments, Path disk) {
    return of(arguments).toBuilder()
        .addDisks(Disk.newBuilder().setId("disk0").setSource(disk.toString()))
        .build();
  }
}
