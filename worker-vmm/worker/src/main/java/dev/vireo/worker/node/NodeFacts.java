package dev.vireo.worker.node;

import dev.vireo.catalog.BackEnd;
import dev.vireo.images.DeviceAnnouncement;
import dev.vireo.images.GuestImage;
import dev.vireo.images.ImageDirectory;
import dev.vireo.images.ImageException;
import dev.vireo.linux.KvmProbe;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.NodeResources;
import java.lang.System.Logger.Level;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What this node offers: its machine, its KVM, its images. */
public final class NodeFacts {
  private static final System.Logger LOG = System.getLogger("node");

  /** The public contract's bound. */
  private static final int MOST_VCPUS = 64;

  private static final int MILLI = 1000;

  private final ImageDirectory images;
  private final NodeCapabilities machine;
  private final NodeResources capacity;
  private final Set<String> toldOf = new HashSet<>();

  /**
   * @param backEnds that this host can serve
   * @param emulated whether this machine is itself emulated without hardware virtualization
   * @param cpus that the kernel schedules on
   * @param cpuOvercommit how many vCPUs are promised for each CPU
   * @param memoryTotalMib of the machine
   * @param memoryReserveMib of it, kept for the host, this worker and the VMMs themselves
   */
  public NodeFacts(
      ImageDirectory images,
      KvmProbe kvm,
      List<BackEnd> backEnds,
      boolean emulated,
      int cpus,
      int cpuOvercommit,
      long memoryTotalMib,
      long memoryReserveMib) {
    this.images = images;
    boolean arm64 = architecture() == Architecture.ARM64;
    NodeCapabilities.Builder capabilities =
        NodeCapabilities.newBuilder()
            .setArchitecture(architecture())
            .setVirtualization(virtualization(kvm))
            .setRunsLinuxGuests(kvm.hardwareVirtualization())
            .setMaxVcpus(Math.min(kvm.maxVcpus(), MOST_VCPUS))
            .setEmulated(emulated)
            .addAllAnnouncements(
                arm64
                    ? List.of(Announcement.FDT)
                    : List.of(Announcement.ACPI, Announcement.CMDLINE));
    for (BackEnd backEnd : backEnds) {
      capabilities.addBackEnds(backEnd.qualifiedName());
    }
    this.machine = capabilities.build();
    this.capacity =
        NodeResources.newBuilder()
            .setCpuMilli((long) cpus * MILLI * cpuOvercommit)
            .setMemoryMib(Math.max(0, memoryTotalMib - memoryReserveMib))
            .build();
  }

  /** Of the machine that this runs on. */
  public static Architecture architecture() {
    return switch (System.getProperty("os.arch")) {
      case "amd64" -> Architecture.X86_64;
      case "aarch64" -> Architecture.ARM64;
      default -> Architecture.ARCHITECTURE_UNSPECIFIED;
    };
  }

  /** What runs the guests, by the names of {@code NodeCapabilities.virtualization}. */
  public static String virtualization(KvmProbe kvm) {
    return switch (kvm.vendorModule()) {
      case "kvm_intel" -> "vmx";
      case "kvm_amd" -> "svm";
      case "kvm_pvm" -> "pvm";
      default -> architecture() == Architecture.ARM64 ? "el2" : "unknown";
    };
  }

  /** All but the images, which come and go. */
  public NodeCapabilities machine() {
    return machine;
  }

  /** What may be promised to microVMs. */
  public NodeResources capacity() {
    return capacity;
  }

  /** With the images that are in the store now. Thread-safe. */
  public synchronized NodeCapabilities capabilities() {
    NodeCapabilities.Builder capabilities = machine.toBuilder();
    try {
      ImageDirectory.Listing listing = images.list();
      listing.images().forEach(image -> capabilities.addImages(nodeImage(image)));
      listing.broken().forEach(this::tellOnce);
    } catch (ImageException e) {
      tellOnce(e);
    }
    return capabilities.build();
  }

  private void tellOnce(ImageException broken) {
    if (toldOf.add(String.valueOf(broken.getMessage()))) {
      LOG.log(Level.WARNING, "image store: {0}", broken.getMessage());
    }
  }

  private static NodeImage nodeImage(GuestImage image) {
    NodeImage.Builder node =
        NodeImage.newBuilder()
            .setName(image.name())
            .setArchitecture(
                switch (image.architecture()) {
                  case X86_64 -> Architecture.X86_64;
                  case ARM64 -> Architecture.ARM64;
                })
            .setGuestKind(image.guestKind().label())
            .setMinMemoryMib(image.minMemoryMib())
            .setRunsContainers(
                image.agentInitramfs().isPresent() && image.writableDisk().isPresent());
    for (DeviceAnnouncement announcement : image.announcements()) {
      node.addAnnouncements(
          switch (announcement) {
            case CMDLINE -> Announcement.CMDLINE;
            case ACPI -> Announcement.ACPI;
            case FDT -> Announcement.FDT;
          });
    }
    return node.build();
  }
}
