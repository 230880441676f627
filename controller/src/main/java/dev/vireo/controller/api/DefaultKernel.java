package dev.vireo.controller.api;

import dev.vireo.controller.node.Nodes;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NodeImage;
import java.util.List;

/**
 * Chooses the kernel of a container whose spec names none: the small one, which boots sooner, if a
 * known node has it, and else the distribution's. It is part of the spec from then on.
 */
final class DefaultKernel {
  /** The preferred one first. */
  private static final List<String> KERNELS = List.of("vireo-6.1", "debian-12");

  private final Nodes nodes;

  DefaultKernel(Nodes nodes) {
    this.nodes = nodes;
  }

  /** The same request, but for a kernel that it leaves to us. */
  CreateMicroVmRequest complete(CreateMicroVmRequest request) {
    MicroVmSpec spec = request.getMicrovm().getSpec();
    if (!spec.hasContainer() || !spec.getBoot().getKernel().isEmpty()) {
      return request;
    }
    CreateMicroVmRequest.Builder complete = request.toBuilder();
    complete
        .getMicrovmBuilder()
        .getSpecBuilder()
        .getBootBuilder()
        .setKernel(choose(spec.getArchitecture()));
    return complete.build();
  }

  private String choose(Architecture architecture) {
    return KERNELS.stream()
        .filter(name -> isSomewhere(name, architecture))
        .findFirst()
        .orElse(KERNELS.getLast());
  }

  private boolean isSomewhere(String name, Architecture architecture) {
    return nodes.all().stream()
        .filter(node -> node.capabilities().getRunsLinuxGuests())
        .flatMap(node -> node.capabilities().getImagesList().stream())
        .anyMatch(image -> image.getName().equals(name) && suits(image, architecture));
  }

  private static boolean suits(NodeImage image, Architecture architecture) {
    return image.getRunsContainers()
        && (architecture == Architecture.ARCHITECTURE_UNSPECIFIED
            || architecture == image.getArchitecture());
  }
}
