package dev.vireo.worker.container;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.TerminalSize;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Container;
import dev.vireo.worker.boot.RejectedException;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/** What a container's process is started with: its spec, and what its image says besides. */
public final class ContainerProcess {
  /** By which the agent knows it, whoever asks: it is started once in a guest's life. */
  static final String KEY = "main";

  /** Of a terminal, until somebody attaches who has one. */
  private static final TerminalSize USUAL_SIZE =
      TerminalSize.newBuilder().setColumns(80).setRows(24).build();

  private ContainerProcess() {}

  /**
   * What the guest's agent is asked to run.
   *
   * @throws RejectedException CONTAINER_IMAGE_INVALID if neither says which program
   */
  public static ExecRequest of(Container container, ContainerImage image) throws RejectedException {
    ContainerImage.Settings says = image.settings();
    List<String> command = command(container, says);
    if (command.isEmpty() || command.getFirst().isEmpty()) {
      throw new RejectedException(
          ErrorReason.CONTAINER_IMAGE_INVALID,
          "spec.container.arguments",
          "image \"%s\" names no program, and neither does the spec"
              .formatted(container.getImage()));
    }
    ExecRequest.Builder process =
        ExecRequest.newBuilder()
            .setKey(KEY)
            .setStdin(container.getStdin())
            .addAllArguments(command)
            .setWorkingDirectory(either(container.getWorkingDirectory(), says.workingDirectory()))
            .setUser(either(container.getUser(), says.user()));
    if (container.getTerminal()) {
      process.setTerminal(USUAL_SIZE);
    }
    says.environment().stream()
        .filter(variable -> !container.containsEnvironment(nameOf(variable)))
        .forEach(process::addEnvironment);
    new TreeMap<>(container.getEnvironmentMap())
        .forEach((name, value) -> process.addEnvironment(name + "=" + value));
    return process.build();
  }

  /** An entry point of the spec's own: the image's arguments are not meant for that. */
  private static List<String> command(Container container, ContainerImage.Settings image) {
    boolean own = container.getEntrypointCount() > 0;
    List<String> command =
        new ArrayList<>(own ? container.getEntrypointList() : image.entrypoint());
    if (container.getArgumentsCount() > 0) {
      command.addAll(container.getArgumentsList());
    } else if (!own) {
      command.addAll(image.command());
    }
    return command;
  }

  private static String nameOf(String variable) {
    return variable.substring(0, variable.indexOf('='));
  }

  private static String either(String ours, String images) {
    return ours.isEmpty() ? images : ours;
  }
}
