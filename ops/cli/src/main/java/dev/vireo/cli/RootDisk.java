package dev.vireo.cli;

import dev.vireo.proto.v1.NodeImage;
import java.util.List;
import java.util.Set;

/**
 * Whether a kernel that is run without a disk needs the root disk of its image: nodes tell of their
 * images.
 */
final class RootDisk {
  /** Vireo's own, as the launcher builds them. */
  private static final Set<String> LINUX_IMAGES = Set.of(KernelOptions.DEFAULT_IMAGE, "vireo-6.1");

  private static final String BARE_METAL_IMAGE = "probe";

  private RootDisk() {}

  /**
   * Asks the server for the nodes, unless the kernel is a file.
   *
   * @throws CommandException if no node has told of an image, and it is none of Vireo's own
   */
  static boolean isNeeded(String kernel, Api api) {
    if (kernel.contains("/")) {
      return false;
    }
    List<NodeImage> images =
        api.listNodes().stream()
            .flatMap(node -> node.getStatus().getCapabilities().getImagesList().stream())
            .toList();
    if (images.isEmpty()) {
      return isOurLinuxImage(kernel);
    }
    return LINUX_IMAGES.contains(kernel)
        || images.stream()
            .filter(image -> image.getName().equals(kernel))
            .map(NodeImage::getGuestKind)
            .anyMatch("linux"::equals);
  }

  /** While no node has told of its images; after that, the server refuses those that none has. */
  private static boolean isOurLinuxImage(String kernel) {
    if (!LINUX_IMAGES.contains(kernel) && !kernel.equals(BARE_METAL_IMAGE)) {
      throw new CommandException(
          ExitCode.REFUSED,
          "no node has told of an image '%s', so nobody knows whether it needs a root disk"
              .formatted(kernel),
          "See vireo node list; or say it: --disk root=image: or --no-disk.");
    }
    return LINUX_IMAGES.contains(kernel);
  }
}
