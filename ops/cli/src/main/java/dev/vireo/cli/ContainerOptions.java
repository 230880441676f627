package dev.vireo.cli;

import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.HttpService;
import dev.vireo.proto.v1.ImagePull;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** A container image, and the process that runs in it. */
final class ContainerOptions {
  /** When a node asks a registry for the image. */
  enum Pull {
    IF_MISSING,
    ALWAYS,
    NEVER;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  @Option(
      names = "--image",
      paramLabel = "IMAGE",
      description =
          "Run a container image: 'busybox' is built in, others are as docker names them, or a file:"
              + " what docker save writes or an OCI layout, which is first brought to the nodes that"
              + " could run it, where they have not got it (see vireo image load). What follows -- is"
              + " its command.")
  private @Nullable String image;

  @Option(
      names = "--pull",
      paramLabel = "WHEN",
      defaultValue = "if-missing",
      description =
          "Ask the image's registry: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private Pull pull = Pull.IF_MISSING;

  @Option(
      names = "--entrypoint",
      paramLabel = "PROGRAM",
      description = "With --image: instead of the image's entry point.")
  private @Nullable String entrypoint;

  @Option(
      names = {"-e", "--env"},
      paramLabel = "NAME[=VALUE]",
      mapFallbackValue = Option.NULL_VALUE,
      description =
          "With --image: a variable of the process' environment; without a value, as it is here."
              + " Repeatable.")
  private Map<String, String> environment = Map.of();

  @Option(
      names = {"-w", "--workdir"},
      paramLabel = "DIR",
      description = "With --image: the process' working directory.")
  private String workingDirectory = "";

  @Option(
      names = {"-u", "--user"},
      paramLabel = "USER[:GROUP]",
      description = "With --image: whom the process runs as, by name or number.")
  private String user = "";

  @Option(
      names = "--writable",
      paramLabel = "SIZE",
      converter = Converters.Memory.class,
      description =
          "With --image: the size of its writable layer, in MiB or with a unit. Default: 1G.")
  private long writableMib;

  @Option(
      names = "--pids-limit",
      paramLabel = "N",
      description =
          "With --image: how many processes and threads there may be in the guest, those of 'vireo"
              + " exec' too. Default: as many as there is room for.")
  private int pidsLimit;

  @Option(
      names = "--http",
      paramLabel = "PORT",
      description =
          "With --image: it serves HTTP at this port of the guest, for 'vireo invoke'; ready once"
              + " that accepts.")
  private @Nullable Integer http;

  @Option(
      names = "--http-ready",
      paramLabel = "PATH",
      description = "With --http: ready only once a GET of this is answered with less than 400.")
  private String httpReady = "";

  @Option(
      names = {"-i", "--interactive"},
      description = "With --image: the process reads our standard input. Otherwise that is empty.")
  private boolean interactive;

  @Option(
      names = {"-t", "--tty"},
      description =
          "With --image: give the process a terminal, with -i this one; Ctrl-P Ctrl-Q leaves it"
              + " running.")
  private boolean tty;

  @Option(
      names = {"-d", "--detach"},
      description = "With -i or -t: do not join it; see 'vireo attach'.")
  private boolean detach;

  /** Whether the process is to be joined, as one that somebody sits at. */
  boolean isToBeAttached() {
    return (interactive || tty) && !detach;
  }

  /** As it was given. */
  String image() {
    return image == null ? "" : image;
  }

  /** Whether an image is to be run. */
  boolean isGiven() {
    return image != null;
  }

  /** The file that the image is in, if it is one. */
  Optional<String> archive() {
    return Optional.ofNullable(image).filter(ImageArchive::isOne);
  }

  /**
   * What is to be run.
   *
   * @param reference of the image
   * @param command what follows {@code --}
   * @param variables of this process
   */
  Container container(String reference, List<String> command, Map<String, String> variables) {
    Container.Builder container =
        Container.newBuilder()
            .setImage(reference)
            .setPull(
                switch (pull) {
                  case IF_MISSING -> ImagePull.IMAGE_PULL_IF_MISSING;
                  case ALWAYS -> ImagePull.IMAGE_PULL_ALWAYS;
                  case NEVER -> ImagePull.IMAGE_PULL_NEVER;
                })
            .addAllArguments(command)
            .setWorkingDirectory(workingDirectory)
            .setUser(user)
            .setWritableMib(writableMib)
            .setPidsLimit(pidsLimit)
            .setStdin(interactive)
            .setTerminal(tty);
    String terminal = variables.getOrDefault("TERM", "");
    if (tty && !terminal.isEmpty()) {
      container.putEnvironment("TERM", terminal);
    }
    if (http != null) {
      container.setHttp(HttpService.newBuilder().setPort(http).setReadinessPath(httpReady));
    }
    if (entrypoint != null) {
      container.addEntrypoint(entrypoint);
    }
    environment.forEach((name, value) -> {
      String given = value == null ? variables.get(name) : value;
      if (given != null) {
        container.putEnvironment(name, given);
      }
    });
    return container.build();
  }
}
