package dev.vireo.cli;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.ExecStart;
import io.grpc.StatusRuntimeException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code vireo exec}. */
@Command(
    name = "exec",
    customSynopsis = "vireo exec [OPTIONS] NAME -- COMMAND [ARG...]",
    description = {
      "Runs a command in a microVM's guest.",
      "Its output and exit status are this command's. When this command ends, so does that, unless"
          + " it is detached. The guest needs a vsock device and an agent."
    },
    exitCodeOnInvalidInput = ExitCode.OF_VIREO,
    exitCodeList = {
      "0 to 255:the command's own; 128 and a signal's number if that has killed it",
      "125:a failure of Vireo's own",
      "126:the command cannot be executed: by this user, or in this directory",
      "127:there is no such command",
    })
final class ExecCommand implements Callable<Integer> {
  private final Environment environment;

  @Spec private @Nullable CommandSpec spec;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Option(
      names = {"-i", "--interactive"},
      description = "Standard input is the command's. Otherwise that is empty.")
  private boolean interactive;

  @Option(
      names = {"-t", "--tty"},
      description = "Give it a terminal, of this one's size; Ctrl-C then goes to the guest.")
  private boolean tty;

  @Option(
      names = {"-d", "--detach"},
      description = "Leave it running once it has started; its output is lost.")
  private boolean detach;

  @Option(
      names = {"-e", "--env"},
      paramLabel = "NAME=VALUE",
      description = "Of its environment.")
  private final Map<String, String> variables = new TreeMap<>();

  @Option(
      names = {"-w", "--workdir"},
      paramLabel = "DIR",
      description = "Where it runs. Default: its user's home.")
  private String directory = "";

  @Option(
      names = {"-u", "--user"},
      paramLabel = "USER[:GROUP]",
      description = "Who it runs as, by name or number. Default: root.")
  private String user = "";

  @Parameters(index = "0", paramLabel = "NAME", description = "Of the microVM.")
  private String name = "";

  @Parameters(
      index = "1..*",
      arity = "1..*",
      paramLabel = "COMMAND",
      description = "The program and its arguments; nothing interprets them: see sh -c.")
  private final List<String> command = new ArrayList<>();

  ExecCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    if (command.getFirst().equals("--")) {
      command.removeFirst();
    }
    if (command.isEmpty() || (detach && (interactive || tty))) {
      throw new ParameterException(
          Objects.requireNonNull(spec).commandLine(),
          command.isEmpty() ? "a command is missing" : "--detach goes with neither -i nor -t");
    }
    try (Api api = server.connect(environment)) {
      return new RemoteCommand(api, environment).run(start(api));
    } catch (StatusRuntimeException | CommandException e) {
      new ErrorReport(environment.err()).print(e);
      return exitCode(e);
    }
  }

  private ExecStart start(Api api) {
    ExecStart.Builder start =
        ExecStart.newBuilder()
            .setName(api.microVmName(name))
            .addAllArguments(command)
            .putAllEnvironment(variables)
            .setWorkingDirectory(directory)
            .setUser(user)
            .setStdin(interactive)
            .setDetach(detach);
    if (tty) {
      start.setTerminal(environment.tty().size().orElse(LocalStreams.USUAL_SIZE));
      String terminal = environment.variables().getOrDefault("TERM", "");
      if (!terminal.isEmpty() && !variables.containsKey("TERM")) {
        start.putEnvironment("TERM", terminal);
      }
    }
    return start.build();
  }

  /** Rather than its user or its directory. Agents of before do not say. */
  private static boolean isTheCommand(RuntimeException error) {
    String field = Errors.metadataOf(error).getOrDefault("field", "start.arguments");
    return field.equals("start.arguments");
  }

  private static int exitCode(RuntimeException error) {
    return switch (Errors.reasonOf(error).orElse(ErrorReason.INTERNAL)) {
      case GUEST_NOT_FOUND -> isTheCommand(error) ? ExitCode.NO_COMMAND : ExitCode.NOT_EXECUTABLE;
      case GUEST_NOT_EXECUTABLE, GUEST_PERMISSION_DENIED -> ExitCode.NOT_EXECUTABLE;
      default -> ExitCode.OF_VIREO;
    };
  }
}
