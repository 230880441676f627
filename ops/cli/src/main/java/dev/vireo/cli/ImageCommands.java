package dev.vireo.cli;

import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.ContainerImageLoaded;
import dev.vireo.proto.v1.DeleteContainerImageRequest;
import dev.vireo.proto.v1.ListContainerImagesRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeStatus;
import io.grpc.StatusRuntimeException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * {@code vireo image}, as far as it is about nodes: what is about this machine's own images alone
 * is other programs' ({@link LauncherCommands}).
 */
final class ImageCommands {
  private ImageCommands() {}

  /** {@code vireo image load}. */
  @Command(
      name = "load",
      description = {
        "Brings a container image from a file here to nodes.",
        "",
        "What docker save writes, or an OCI layout, as a tar (gzip too) or a directory; which, is seen"
            + " from what is in it. Each node verifies it, and has it whole or not at all."
      },
      footer = {
        "Examples:",
        "  vireo image load debian.tar",
        "  docker save tool | vireo image load - --node worker-1 --node worker-2",
        "  vireo image load ./layout:latest --as registry.example/tool:latest"
      })
  static final class Load implements Callable<Integer> {
    private final Environment environment;

    @Mixin private final ServerOptions server = new ServerOptions();

    @Parameters(
        paramLabel = "FILE|DIRECTORY",
        description =
            "With :IMAGE behind it where there are several images in it. '-': standard input.")
    private String source = "";

    @Option(
        names = "--as",
        paramLabel = "NAME",
        description = "Its name there. Default: as the file calls it.")
    private String name = "";

    @Option(
        names = "--node",
        paramLabel = "NODE",
        description =
            "Where to; repeatable. Default: every READY node of the image's architecture that runs"
                + " Linux guests.")
    private List<String> nodes = List.of();

    Load(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      try (Api api = server.connect(environment);
          Cleanup cleanup = new Cleanup();
          ImageArchive archive = ImageArchive.open(source, environment.in(), cleanup)) {
        String called = name.isEmpty() ? archive.called() : name;
        if (called.isEmpty()) {
          throw new CommandException(
              ExitCode.FAILED,
              source + " does not say what its image is called",
              "Give it a name: --as NAME.");
        }
        List<String> targets = targets(api, archive);
        LoadProgressLine progress = new LoadProgressLine(environment, archive.bytes());
        return report(new ImageLoads(api, archive, called, progress).run(targets));
      }
    }

    private List<String> targets(Api api, ImageArchive archive) {
      if (!nodes.isEmpty()) {
        return nodes.stream().map(NodeUpdates::resourceName).distinct().toList();
      }
      List<Node> suitable = ImageLoads.suitable(api.listNodes(), archive.ids());
      if (suitable.isEmpty()) {
        throw new CommandException(
            ExitCode.UNAVAILABLE,
            "no node is READY and runs Linux guests of " + architectures(archive),
            "See vireo node list; --node names one all the same.");
      }
      return suitable.stream().map(node -> node.getMeta().getName()).toList();
    }

    /** One line for each node; the exit code is that of the first that failed. */
    private int report(List<ImageLoads.Outcome> outcomes) {
      Table table = new Table("NODE", "RESULT", "IMAGE", "ID", "ROOT");
      for (ImageLoads.Outcome outcome : outcomes) {
        ContainerImageLoaded loaded = outcome.loaded();
        if (loaded != null) {
          table.add(
              Api.id(outcome.node()),
              loaded.getExisted() ? "was there" : "loaded",
              loaded.getImageName(),
              shortId(loaded.getImage()),
              Text.bytes(loaded.getImage().getRootBytes()));
        }
      }
      if (!table.isEmpty()) {
        table.print(environment.out());
      }
      int exitCode = ExitCode.OK;
      for (ImageLoads.Outcome outcome : outcomes) {
        RuntimeException failure = outcome.failure();
        if (failure != null) {
          environment.err().println("vireo: %s has not got it:".formatted(Api.id(outcome.node())));
          int code = new ErrorReport(environment.err()).print(failure);
          exitCode = exitCode == ExitCode.OK ? code : exitCode;
        }
      }
      return exitCode;
    }
  }

  static String architectures(ImageArchive archive) {
    return archive.ids().keySet().stream()
        .map(Text::lower)
        .sorted()
        .collect(Collectors.joining(" or "));
  }

  static String shortId(ContainerImage image) {
    String hex = image.getId().replaceFirst("^sha256:", "");
    return hex.substring(0, Math.min(12, hex.length()));
  }

  /** {@code vireo image list}. */
  @Command(
      name = "list",
      description = {
        "Lists guest images and container images of this machine, or container images of nodes.",
        "",
        "Without --nodes and --node: what this machine's own store and cache have, as a table or as"
            + " json; -o wide and -o name, --server and --project are for nodes."
      })
  @SuppressWarnings("UnusedVariable") // Options that only the program behind the launcher reads.
  static final class ListImages implements Callable<Integer> {
    private final Environment environment;
    @Spec private @Nullable CommandSpec spec;
    @Mixin private final ServerOptions server = new ServerOptions();
    @Mixin private final OutputOptions output = new OutputOptions();

    @Option(names = "--nodes", description = "The container images of every READY node.")
    private boolean everywhere;

    @Option(names = "--node", paramLabel = "NODE", description = "Those of this node; repeatable.")
    private List<String> nodes = List.of();

    @Option(
        names = "--arch",
        paramLabel = "ARCH",
        description = "x86_64 or arm64. Default: this machine's.")
    private @Nullable String architecture;

    @Option(
        names = "--dir",
        paramLabel = "DIRECTORY",
        description =
            "The image store. Default: $VIREO_CACHE_DIR/images, else ~/.cache/vireo/images.")
    private @Nullable Path store;

    @Option(
        names = "--container-dir",
        paramLabel = "DIRECTORY",
        description = LauncherCommands.CONTAINER_CACHE)
    private @Nullable Path containers;

    ListImages(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      if (!everywhere && nodes.isEmpty()) {
        throw LauncherCommands.notHere(Objects.requireNonNull(spec));
      }
      try (Api api = server.connect(environment)) {
        return list(api);
      }
    }

    private int list(Api api) {
      List<String> wanted =
          nodes.isEmpty()
              ? api.listNodes().stream()
                  .filter(node -> node.getStatus().getHealth() == NodeStatus.Health.READY)
                  .map(node -> node.getMeta().getName())
                  .toList()
              : nodes.stream().map(NodeUpdates::resourceName).distinct().toList();
      int exitCode = ExitCode.OK;
      Table table = new Table("NODE", "IMAGE", "ARCH", "ID", "ROOT", "LAST USE");
      for (String node : wanted) {
        try {
          add(api, node, table);
        } catch (StatusRuntimeException e) {
          environment.err().println("vireo: %s does not say:".formatted(Api.id(node)));
          int code = new ErrorReport(environment.err()).print(e);
          exitCode = exitCode == ExitCode.OK ? code : exitCode;
        }
      }
      if (output.format() == OutputOptions.Format.TABLE
          || output.format() == OutputOptions.Format.WIDE) {
        table.print(environment.out());
      }
      return exitCode;
    }

    private void add(Api api, String node, Table table) {
      List<ContainerImage> images =
          api.images()
              .listContainerImages(ListContainerImagesRequest.newBuilder().setNode(node).build())
              .getImagesList();
      for (ContainerImage image : images) {
        List<String> names = image.getNamesCount() == 0 ? List.of("-") : image.getNamesList();
        switch (output.format()) {
          case JSON ->
              environment
                  .out()
                  .println(
                      "{\"node\":\"%s\",\"image\":%s}"
                          .formatted(node, OutputOptions.jsonLine(image)));
          case NAME -> image.getNamesList().forEach(environment.out()::println);
          case TABLE, WIDE -> {
            for (String name : names) {
              table.add(
                  Api.id(node),
                  name,
                  Text.lower(image.getArchitecture()),
                  output.format() == OutputOptions.Format.WIDE ? image.getId() : shortId(image),
                  Text.bytes(image.getRootBytes()),
                  Text.age(image.getLastUseTime(), environment.clock().instant()));
            }
          }
        }
      }
    }
  }

  /** {@code vireo image rm}. */
  @Command(
      name = "rm",
      description = {
        "Removes names of container images, and an image with its last name.",
        "",
        "By its ID, sha256:…, an image is removed with all its names. A guest that runs of it goes on;"
            + " a microVM that is started later has to get it again. Without --node: from this"
            + " machine's cache."
      })
  @SuppressWarnings("UnusedVariable") // Options that only the program behind the launcher reads.
  static final class Remove implements Callable<Integer> {
    private final Environment environment;
    @Spec private @Nullable CommandSpec spec;
    @Mixin private final ServerOptions server = new ServerOptions();

    @Parameters(arity = "1..*", paramLabel = "NAME", description = "Or sha256:…, its ID.")
    private List<String> names = List.of();

    @Option(names = "--node", paramLabel = "NODE", description = "Where; repeatable.")
    private List<String> nodes = List.of();

    @Option(
        names = "--arch",
        paramLabel = "ARCH",
        description = "x86_64 or arm64. Default: this machine's.")
    private @Nullable String architecture;

    @Option(
        names = "--container-dir",
        paramLabel = "DIRECTORY",
        description = LauncherCommands.CONTAINER_CACHE)
    private @Nullable Path containers;

    Remove(Environment environment) {
      this.environment = environment;
    }

    @Override
    public Integer call() {
      CommandSpec here = Objects.requireNonNull(spec);
      if (nodes.isEmpty()) {
        throw LauncherCommands.notHere(here);
      }
      if (containers != null || architecture != null) {
        throw new ParameterException(
            here.commandLine(),
            "--container-dir and --arch are for this machine's cache, not --node");
      }
      List<String> done = new ArrayList<>();
      int exitCode = ExitCode.OK;
      try (Api api = server.connect(environment)) {
        for (String node : nodes) {
          for (String name : names) {
            try {
              boolean gone =
                  api.images()
                      .deleteContainerImage(
                          DeleteContainerImageRequest.newBuilder()
                              .setNode(NodeUpdates.resourceName(node))
                              .setImage(name)
                              .build())
                      .getImageRemoved();
              done.add(
                  "%s  %s%s".formatted(node, name, gone ? "" : " (its image has another name)"));
            } catch (StatusRuntimeException e) {
              int code = new ErrorReport(environment.err()).print(e);
              exitCode = exitCode == ExitCode.OK ? code : exitCode;
            }
          }
        }
      }
      done.forEach(environment.out()::println);
      return exitCode;
    }
  }
}
