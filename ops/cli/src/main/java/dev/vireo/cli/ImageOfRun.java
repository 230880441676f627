package dev.vireo.cli;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.Placement;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * An image that {@code vireo run} is given as a file: it is brought to the nodes that could run it.
 */
final class ImageOfRun {
  private final Api api;
  private final Environment environment;
  private final Placement placement;
  private final Optional<KernelOptions.Arch> architecture;

  /**
   * @param architecture if one was asked for
   */
  ImageOfRun(
      Api api,
      Environment environment,
      Placement placement,
      Optional<KernelOptions.Arch> architecture) {
    this.api = api;
    this.environment = environment;
    this.placement = placement;
    this.architecture = architecture;
  }

  /**
   * Brings it where it is not yet.
   *
   * @param dryRun only look at the file
   * @return the image's ID
   */
  String bring(String file, boolean dryRun) {
    try (Cleanup cleanup = new Cleanup();
        ImageArchive archive = ImageArchive.open(file, environment.in(), cleanup)) {
      Map<Architecture, String> ids = wanted(archive);
      if (dryRun) {
        return ids.values().iterator().next();
      }
      List<Node> nodes =
          ImageLoads.suitable(api.listNodes(), ids).stream().filter(this::mayTakeIt).toList();
      if (nodes.isEmpty()) {
        throw new CommandException(
            ExitCode.UNAVAILABLE,
            "no node is READY, may take it and runs Linux guests of "
                + ImageCommands.architectures(archive),
            "See vireo node list; vireo image load --node brings an image to a node all the same.");
      }
      Architecture chosen = nodes.getFirst().getStatus().getCapabilities().getArchitecture();
      return bring(
          archive,
          nodes.stream()
              .filter(node -> node.getStatus().getCapabilities().getArchitecture() == chosen)
              .map(node -> node.getMeta().getName())
              .toList());
    }
  }

  private String bring(ImageArchive archive, List<String> nodes) {
    String name = archive.called().isEmpty() ? archive.nameByFile() : archive.called();
    LoadProgressLine progress = new LoadProgressLine(environment, archive.bytes());
    List<ImageLoads.Outcome> outcomes = new ImageLoads(api, archive, name, progress).run(nodes);
    Optional<String> id = Optional.empty();
    for (ImageLoads.Outcome outcome : outcomes) {
      if (outcome.loaded() != null) {
        id = Optional.of(outcome.loaded().getImage().getId());
      }
    }
    for (ImageLoads.Outcome outcome : outcomes) {
      RuntimeException failure = outcome.failure();
      if (failure != null && id.isEmpty()) {
        throw failure;
      }
      if (failure != null) {
        environment
            .err()
            .println(
                "vireo: %s has not got the image: %s"
                    .formatted(Api.id(outcome.node()), failure.getMessage()));
      }
    }
    return id.orElseThrow();
  }

  private Map<Architecture, String> wanted(ImageArchive archive) {
    Map<Architecture, String> ids = new EnumMap<>(Architecture.class);
    ids.putAll(archive.ids());
    architecture.ifPresent(arch ->
        ids.keySet()
            .retainAll(
                List.of(
                    switch (arch) {
                      case X86_64 -> Architecture.X86_64;
                      case ARM64 -> Architecture.ARM64;
                    })));
    if (ids.isEmpty()) {
      throw new CommandException(
          ExitCode.FAILED,
          "%s is an image for %s".formatted(archive.file(), ImageCommands.architectures(archive)),
          "Leave --arch out, or save the image for the other architecture.");
    }
    return ids;
  }

  /** As far as can be seen from here: what the scheduler says of it later, counts. */
  private boolean mayTakeIt(Node node) {
    return !node.getSpec().getCordoned()
        && !node.getSpec().hasDrain()
        && node.getMeta()
            .getLabelsMap()
            .entrySet()
            .containsAll(placement.getNodeSelectorMap().entrySet());
  }
}
