package dev.vireo.controller.api;

import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.controller.placement.SchedulerTerms;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NodeImage;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.ToLongFunction;
import java.util.stream.Collectors;

/**
 * What can be said of a spec with the known nodes in view: that it would never run on any of them,
 * whatever else ended. What no node can do <em>now</em> is no violation, the microVM waits; and
 * without any known node everything waits.
 */
final class FleetValidator {
  private final Nodes nodes;

  FleetValidator(Nodes nodes) {
    this.nodes = nodes;
  }

  /** For a spec in which the {@link SpecValidator} found nothing. */
  void validate(MicroVmSpec spec, Violations violations) {
    Collection<StoredNode> known = nodes.all();
    if (known.isEmpty()) {
      return;
    }
    validateMemory(spec, known, violations);
    validateVcpus(spec, known, violations);
    if (!spec.getBoot().getKernel().startsWith("/")) {
      validateImage(spec, known, violations);
    }
  }

  private static void validateMemory(
      MicroVmSpec spec, Collection<StoredNode> known, Violations violations) {
    long most = most(known, node -> node.promisable().getMemoryMib());
    violations.invalidIf(
        spec.getMemoryMib() > most,
        "spec.memory_mib",
        "is %d; the largest known node has %d MiB in all.",
        spec.getMemoryMib(),
        most);
    violations.invalidIf(
        spec.getMemoryMib() <= most && SchedulerTerms.memoryMib(spec) > most,
        "spec.memory_hotplug.maximum_mib",
        "makes %d MiB with memory_mib; the largest known node has %d MiB in all.",
        SchedulerTerms.memoryMib(spec),
        most);
  }

  private static void validateVcpus(
      MicroVmSpec spec, Collection<StoredNode> known, Violations violations) {
    long most = most(known, node -> node.capabilities().getMaxVcpus());
    violations.invalidIf(
        spec.getVcpus() > most,
        "spec.vcpus",
        "is %d; no known node can give a microVM more than %d.",
        spec.getVcpus(),
        most);
  }

  private static long most(Collection<StoredNode> known, ToLongFunction<StoredNode> what) {
    return known.stream().mapToLong(what).max().orElse(0);
  }

  private static void validateImage(
      MicroVmSpec spec, Collection<StoredNode> known, Violations violations) {
    String name = spec.getBoot().getKernel();
    List<NodeImage> named = new ArrayList<>();
    for (StoredNode node : known) {
      for (NodeImage image : node.capabilities().getImagesList()) {
        if (image.getName().equals(name)) {
          named.add(image);
        }
      }
    }
    if (named.isEmpty()) {
      violations.add(
          "spec.boot.kernel",
          ErrorReason.KERNEL_NOT_FOUND,
          "\"%s\" is an image of no known node; they have: %s.".formatted(name, imageNames(known)));
      return;
    }
    List<NodeImage> fitting = named.stream().filter(image -> fits(spec, image)).toList();
    if (fitting.isEmpty()) {
      violations.add(
          "spec.boot.kernel",
          ErrorReason.KERNEL_WRONG_ARCHITECTURE,
          "image \"%s\" is built for %s, the microVM is %s."
              .formatted(
                  name,
                  architecture(named.getFirst().getArchitecture()),
                  architecture(spec.getArchitecture())));
      return;
    }
    if (spec.hasContainer() && fitting.stream().noneMatch(NodeImage::getRunsContainers)) {
      violations.add(
          "spec.boot.kernel",
          ErrorReason.KERNEL_WITHOUT_AGENT,
          "image \"%s\" has no agent to start a container's process with.".formatted(name));
    }
    long least = fitting.stream().mapToLong(NodeImage::getMinMemoryMib).min().orElse(0);
    if (spec.getMemoryMib() < least) {
      violations.add(
          "spec.memory_mib",
          ErrorReason.MEMORY_TOO_SMALL,
          "is %d; image \"%s\" needs at least %d MiB.".formatted(spec.getMemoryMib(), name, least));
    }
    validateAnnouncement(spec, fitting, violations);
  }

  private static void validateAnnouncement(
      MicroVmSpec spec, List<NodeImage> images, Violations violations) {
    Announcement wanted = spec.getBoot().getAnnouncement();
    if (wanted != Announcement.ANNOUNCEMENT_UNSPECIFIED
        && wanted != Announcement.AUTO
        && images.stream().noneMatch(image -> image.getAnnouncementsList().contains(wanted))) {
      violations.add(
          "spec.boot.announcement",
          ErrorReason.ANNOUNCEMENT_UNSUPPORTED,
          "is %s; image \"%s\" knows %s."
              .formatted(
                  wanted,
                  images.getFirst().getName(),
                  images.stream()
                      .flatMap(image -> image.getAnnouncementsList().stream())
                      .distinct()
                      .map(Announcement::name)
                      .sorted()
                      .collect(Collectors.joining(", "))));
    }
  }

  private static boolean fits(MicroVmSpec spec, NodeImage image) {
    return spec.getArchitecture() == Architecture.ARCHITECTURE_UNSPECIFIED
        || spec.getArchitecture() == image.getArchitecture();
  }

  private static String imageNames(Collection<StoredNode> known) {
    String names =
        known.stream()
            .flatMap(node -> node.capabilities().getImagesList().stream())
            .map(NodeImage::getName)
            .distinct()
            .sorted()
            .collect(Collectors.joining(", "));
    return names.isEmpty() ? "none" : names;
  }

  private static String architecture(Architecture architecture) {
    return SchedulerTerms.architecture(architecture).orElse("unknown");
  }
}
