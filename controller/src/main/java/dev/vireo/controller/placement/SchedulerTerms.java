package dev.vireo.controller.placement;

import dev.vireo.catalog.BackEnd;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.proto.image.ImageNames;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.ImagePull;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.scheduler.Image;
import dev.vireo.scheduler.NodeKind;
import dev.vireo.scheduler.Request;
import dev.vireo.scheduler.Request.Kernel;
import dev.vireo.scheduler.Resources;
import java.util.Collection;
import java.util.HashSet;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Says specs and nodes in the scheduler's own terms. */
public final class SchedulerTerms {
  private static final String LINUX = "linux";

  private SchedulerTerms() {}

  static Request request(MicroVm microVm, Set<String> avoid) {
    MicroVmSpec spec = microVm.getSpec();
    return new Request(
        architecture(spec.getArchitecture()),
        spec.getVcpus(),
        memoryMib(spec),
        kernel(spec.getBoot().getKernel()),
        announcement(spec.getBoot().getAnnouncement()),
        spec.hasContainer() ? Optional.of(containerImage(spec.getContainer())) : Optional.empty(),
        backEnds(spec),
        PlacementTerms.nodeRules(spec.getPlacement()),
        PlacementTerms.peer(microVm),
        avoid);
  }

  private static Request.ContainerImage containerImage(Container container) {
    String name = ImageNames.canonical(container.getImage());
    return new Request.ContainerImage(
        name, ImageNames.isId(name) || container.getPull() == ImagePull.IMAGE_PULL_NEVER);
  }

  /** What requests may call a node's images: their names, and their ids. */
  static Set<String> containerImages(Collection<ContainerImage> images) {
    return images.stream()
        .flatMap(image -> Stream.concat(Stream.of(image.getId()), image.getNamesList().stream()))
        .collect(Collectors.toSet());
  }

  /** What a microVM may come to have: what a node must have for it. */
  public static long memoryMib(MicroVmSpec spec) {
    return spec.getMemoryMib() + spec.getMemoryHotplug().getMaximumMib();
  }

  /** What a node must serve, as the device catalogue names it. */
  private static Set<String> backEnds(MicroVmSpec spec) {
    Set<String> needed = new HashSet<>();
    String ring = BackEnd.BLK_IO_URING.qualifiedName();
    for (Disk disk : spec.getDisksList()) {
      needed.add(disk.getBackEnd().equals(ring) ? ring : BackEnd.BLK_FILE.qualifiedName());
    }
    if (spec.hasContainer()) {
      needed.add(BackEnd.BLK_FILE.qualifiedName());
    }
    if (spec.getNetworksCount() > 0) {
      needed.add(BackEnd.NET_TAP.qualifiedName());
    }
    if (spec.getNetworksList().stream().anyMatch(Network::hasRouted)) {
      needed.add(BackEnd.NET_ROUTED.qualifiedName());
    }
    if (spec.hasVsock() || spec.hasContainer()) {
      needed.add(BackEnd.VSOCK_UNIX.qualifiedName());
    }
    if (spec.hasEntropy()) {
      needed.add(BackEnd.RNG_HOST.qualifiedName());
    }
    if (spec.hasBalloon()) {
      needed.add(BackEnd.BALLOON_HOST.qualifiedName());
    }
    if (spec.hasVirtioConsole()) {
      needed.add(BackEnd.CONSOLE_UNIX.qualifiedName());
    }
    if (spec.hasMemoryHotplug()) {
      needed.add(BackEnd.MEM_HOST.qualifiedName());
    }
    return needed;
  }

  static Resources demand(MicroVmSpec spec) {
    return new Resources(spec.getVcpus() * 1000L, memoryMib(spec));
  }

  static NodeKind kind(StoredNode stored, Health health) {
    NodeCapabilities capabilities = stored.capabilities();
    NodeResources capacity = stored.promisable();
    return new NodeKind(
        health == Health.READY,
        stored.isClosed(),
        capabilities.getEmulated(),
        architecture(capabilities.getArchitecture()).orElse("unknown"),
        capabilities.getRunsLinuxGuests(),
        capabilities.getMaxVcpus(),
        announcements(capabilities.getAnnouncementsList()),
        Set.copyOf(capabilities.getBackEndsList()),
        capabilities.getImagesList().stream().map(SchedulerTerms::image).toList(),
        stored.labels(),
        stored.node().getSpec().getTaintsList().stream()
            .map(PlacementTerms::taint)
            .flatMap(Optional::stream)
            .collect(Collectors.toSet()),
        new Resources(capacity.getCpuMilli(), capacity.getMemoryMib()));
  }

  private static Image image(NodeImage image) {
    return new Image(
        image.getName(),
        architecture(image.getArchitecture()).orElse("unknown"),
        image.getGuestKind().equals(LINUX),
        announcements(image.getAnnouncementsList()));
  }

  private static Kernel kernel(String kernel) {
    return kernel.startsWith("/") ? new Kernel.FromFile(kernel) : new Kernel.FromImage(kernel);
  }

  /** As people write it: "x86_64", "arm64". */
  public static Optional<String> architecture(Architecture architecture) {
    return switch (architecture) {
      case X86_64, ARM64 -> Optional.of(architecture.name().toLowerCase(Locale.ROOT));
      case ARCHITECTURE_UNSPECIFIED, UNRECOGNIZED -> Optional.empty();
    };
  }

  private static Optional<String> announcement(Announcement announcement) {
    return switch (announcement) {
      case CMDLINE, ACPI, FDT -> Optional.of(announcement.name().toLowerCase(Locale.ROOT));
      case ANNOUNCEMENT_UNSPECIFIED, AUTO, UNRECOGNIZED -> Optional.empty();
    };
  }

  private static Set<String> announcements(Collection<Announcement> announcements) {
    return announcements.stream()
        .map(SchedulerTerms::announcement)
        .flatMap(Optional::stream)
        .collect(Collectors.toSet());
  }
}
