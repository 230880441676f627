package dev.vireo.cli;

import dev.vireo.proto.v1.Balloon;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.Entropy;
import dev.vireo.proto.v1.MemoryHotplug;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.VirtioConsole;
import dev.vireo.proto.v1.Vsock;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The devices that a guest is given. */
final class DeviceOptions {
  @Option(
      names = "--disk",
      paramLabel = Converters.DiskForm.LABEL,
      converter = Converters.DiskForm.class,
      description =
          "'image:' for a private copy of the image's root disk, or the absolute path of a raw"
              + " file or block device on the node. ro: read-only; direct: past the node's page"
              + " cache; queues=COUNT, each with a thread; rate=RATE in bytes a second (500K, 10M,"
              + " 1G); iops=COUNT a second; back-end=NAME. Repeatable, in the guest's order."
              + " Default: root=image: for Linux images.")
  private List<Disk> disks = new ArrayList<>();

  @Option(names = "--no-disk", description = "Not even the image's root disk.")
  private boolean noDisk;

  @Option(
      names = "--net",
      paramLabel = Converters.NetworkForm.LABEL,
      converter = Converters.NetworkForm.class,
      description =
          "A network: 'auto' for a tap interface that the node makes and that goes with the"
              + " microVM, or properties: tap=NAME of one that the node has, mac=ADDRESS,"
              + " queues=PAIRS, mtu=BYTES, rx=RATE and tx=RATE in bytes a second (500K, 10M, 1G),"
              + " id=ID. Repeatable.")
  private List<Network> networks = new ArrayList<>();

  @Mixin private final RoutedNetworkOptions routed = new RoutedNetworkOptions();

  @Option(
      names = "--vsock",
      description =
          "A virtio-vsock device: streams to and from the guest over unix sockets of the node,"
              + " which 'vireo get' names.")
  private boolean vsock;

  @Option(
      names = "--vsock-cid",
      paramLabel = "CID",
      converter = Converters.ContextId.class,
      description = "The guest's context id, with --vsock. Default: the node chooses.")
  private @Nullable Integer vsockCid;

  @Option(
      names = "--entropy",
      description =
          "A virtio-rng device: the guest gets random numbers of the node's kernel beside its CPU's"
              + " own.")
  private boolean entropy;

  @Option(
      names = "--balloon",
      paramLabel = Converters.BalloonForm.LABEL,
      converter = Converters.BalloonForm.class,
      description =
          "A balloon: the guest is asked to give SIZE of its memory back, which 'vireo balloon'"
              + " changes; with reporting it gives back what is free besides. 0 asks for nothing"
              + " yet.")
  private @Nullable Balloon balloon;

  @Option(
      names = "--memory-hotplug",
      paramLabel = Converters.MemoryHotplugForm.LABEL,
      converter = Converters.MemoryHotplugForm.class,
      description =
          "Memory beyond --memory, up to MAXIMUM, that the guest can be given while it runs, which"
              + " 'vireo memory' does; with size= it has some from the start. The node keeps all of"
              + " it free.")
  private @Nullable MemoryHotplug memoryHotplug;

  @Option(
      names = "--console-port",
      paramLabel = Converters.ConsolePortForm.LABEL,
      converter = Converters.ConsolePortForm.class,
      description =
          "A port of a virtio-console device: a console (/dev/hvc0), or a pipe of this name"
              + " (/dev/virtio-ports/NAME), on a unix socket of the node, which 'vireo get' names."
              + " Repeatable; the first must be a console.")
  private List<ConsolePort> consolePorts = new ArrayList<>();

  /**
   * Sets them in a spec.
   *
   * @param needsRootDisk whether the kernel has a root disk, which it gets where no disk is named;
   *     asked only then
   */
  void addTo(MicroVmSpec.Builder spec, BooleanSupplier needsRootDisk) {
    spec.addAllDisks(disks(needsRootDisk)).addAllNetworks(networks());
    if (vsock || vsockCid != null) {
      spec.setVsock(Vsock.newBuilder().setCid(vsockCid == null ? 0 : vsockCid));
    }
    if (entropy) {
      spec.setEntropy(Entropy.getDefaultInstance());
    }
    if (balloon != null) {
      spec.setBalloon(balloon);
    }
    if (memoryHotplug != null) {
      spec.setMemoryHotplug(memoryHotplug);
    }
    if (!consolePorts.isEmpty()) {
      spec.setVirtioConsole(VirtioConsole.newBuilder().addAllPorts(consolePorts));
    }
  }

  /** The disks as given, numbered where they have no id; for a Linux image its root disk. */
  private List<Disk> disks(BooleanSupplier needsRootDisk) {
    if (disks.isEmpty() && !noDisk && needsRootDisk.getAsBoolean()) {
      return List.of(Disk.newBuilder().setId("root").setSource("image:").build());
    }
    List<Disk> named = new ArrayList<>();
    for (Disk disk : disks) {
      named.add(
          disk.getId().isEmpty() ? disk.toBuilder().setId("disk" + named.size()).build() : disk);
    }
    return named;
  }

  /** The networks as given, numbered where they have no id. */
  private List<Network> networks() {
    List<Network> named = new ArrayList<>();
    for (Network network : concat(networks, routed.network())) {
      named.add(
          network.getId().isEmpty()
              ? network.toBuilder().setId("net" + named.size()).build()
              : network);
    }
    return named;
  }

  private static List<Network> concat(List<Network> first, Optional<Network> last) {
    return Stream.concat(first.stream(), last.stream()).toList();
  }
}
