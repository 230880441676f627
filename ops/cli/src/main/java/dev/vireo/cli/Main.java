package dev.vireo.cli;

import dev.vireo.cli.demo.DemoCommand;
import dev.vireo.cli.local.DownCommand;
import dev.vireo.cli.local.NodeAddCommand;
import dev.vireo.cli.local.NodeRemoveCommand;
import dev.vireo.cli.local.StoreCommand;
import dev.vireo.cli.local.UpCommand;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.logging.LogManager;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** The {@code vireo} command line. */
@Command(
    name = "vireo",
    synopsisSubcommandLabel = "COMMAND",
    description = "Runs microVMs.",
    footer = "'vireo COMMAND --help' tells more of each. README.md has the first steps.")
public final class Main implements Runnable {
  public static void main(String[] arguments) {
    // gRPC and Netty log what the commands themselves report.
    LogManager.getLogManager().reset();
    Environment environment =
        new Environment(
            stream(FileDescriptor.out),
            stream(FileDescriptor.err),
            Boolean.getBoolean("vireo.terminal"),
            Boolean.getBoolean("vireo.stderr.terminal"),
            Clock.systemUTC(),
            System.getenv(),
            Channels::open,
            new FileInputStream(FileDescriptor.in),
            new SttyTerminal());
    int exitCode = run(environment, arguments);
    environment.out().flush();
    environment.err().flush();
    System.exit(exitCode);
  }

  /** Carries one command line out and returns its exit code ({@link ExitCode}). */
  public static int run(Environment environment, String... arguments) {
    return commandLine(environment).execute(arguments);
  }

  static CommandLine commandLine(Environment environment) {
    Path sourceTree = Path.of(System.getProperty("vireo.root", "")).toAbsolutePath();
    CommandLine root = new CommandLine(new Main());
    root.addSubcommand(new DemoCommand(environment, sourceTree));
    root.addSubcommand(new RunCommand(environment));
    root.addSubcommand(new ListCommand(environment));
    root.addSubcommand(new GetCommand(environment));
    root.addSubcommand(new WatchCommand(environment));
    root.addSubcommand(new LogsCommand(environment));
    // What comes after the name is the command's, whatever it looks like.
    root.addSubcommand(
        "exec", new CommandLine(new ExecCommand(environment)).setStopAtPositional(true));
    root.addSubcommand(new CopyCommand(environment));
    root.addSubcommand(new PortForwardCommand(environment));
    root.addSubcommand(new AttachCommand(environment));
    root.addSubcommand(new InvokeCommand(environment));
    root.addSubcommand(new InspectCommand(environment));
    root.addSubcommand(new TraceCommand(environment));
    root.addSubcommand(new TopCommand(environment));
    root.addSubcommand(new ExplainCommand(environment));
    root.addSubcommand(new EventsCommand(environment));
    for (SteerCommand.Verb verb : SteerCommand.Verb.values()) {
      root.addSubcommand(Text.lower(verb), steer(environment, verb));
    }
    root.addSubcommand(new MemoryCommand(environment));
    root.addSubcommand(new BalloonCommand(environment));
    root.addSubcommand(new ResizeConsoleCommand(environment));
    root.addSubcommand(new DeleteCommand(environment));
    root.addSubcommand(nodeCommand(environment, sourceTree));
    root.addSubcommand(
        new CommandLine(new QuotaCommand())
            .addSubcommand(new QuotaCommand.GetQuota(environment))
            .addSubcommand(new QuotaCommand.SetQuota(environment)));
    root.addSubcommand(new UpCommand(environment, sourceTree));
    root.addSubcommand(new DownCommand(environment, sourceTree));
    root.addSubcommand(
        new CommandLine(new StoreCommand())
            .addSubcommand(new StoreCommand.Migrate(environment, sourceTree)));
    LauncherCommands.all(environment)
        .forEach(command -> root.addSubcommand(command.getCommandName(), command));
    root.addSubcommand(new VersionCommand(environment));
    root.addSubcommand(new HelpCommand(environment));
    root.addSubcommand(new CompletionCommand(environment));

    root.setOut(writer(environment.out()));
    root.setErr(writer(environment.err()));
    root.setCaseInsensitiveEnumValuesAllowed(true);
    root.setUsageHelpAutoWidth(true);
    root.setExpandAtFiles(false); // A guest's command may have such an argument.
    root.registerConverter(Duration.class, new Converters.Time());
    root.setExecutionExceptionHandler(
        (error, command, parsed) -> new ErrorReport(environment.err()).print(error));
    root.setParameterExceptionHandler(
        (error, arguments) -> printUsageError(environment.err(), error));
    HelpLayout.apply(root);
    return root;
  }

  private static CommandLine nodeCommand(Environment environment, Path sourceTree) {
    return new CommandLine(new NodeCommand())
        .addSubcommand(new NodeCommand.ListNodes(environment))
        .addSubcommand(new NodeCommand.GetNode(environment))
        .addSubcommand(new NodeOperations.Cordon(environment))
        .addSubcommand(new NodeOperations.Uncordon(environment))
        .addSubcommand(new NodeOperations.DrainNode(environment))
        .addSubcommand(new NodeOperations.Label(environment))
        .addSubcommand(new NodeOperations.TaintNode(environment))
        .addSubcommand(new NodeOperations.Fence(environment))
        .addSubcommand(new NodeAddCommand(environment, sourceTree))
        .addSubcommand(new NodeRemoveCommand(environment, sourceTree));
  }

  private static CommandLine steer(Environment environment, SteerCommand.Verb verb) {
    CommandLine command = new CommandLine(new SteerCommand(environment, verb));
    command.getCommandSpec().usageMessage().description(verb.description);
    return command;
  }

  private static int printUsageError(PrintStream err, ParameterException error) {
    CommandLine command = error.getCommandLine();
    err.println("error: " + problem(error));
    err.println("  remedy: see %s --help".formatted(command.getCommandSpec().qualifiedName()));
    return command.getCommandSpec().exitCodeOnInvalidInput();
  }

  private static String problem(ParameterException error) {
    if (error instanceof UnmatchedArgumentException unmatched
        && !unmatched.isUnknownOption()
        && !unmatched.getCommandLine().getSubcommands().isEmpty()) {
      String name = unmatched.getUnmatched().getFirst();
      List<String> similar = unmatched.getSuggestions();
      return "there is no command '%s'%s"
          .formatted(
              name, similar.isEmpty() ? "" : "; did you mean " + String.join(" or ", similar));
    }
    return String.valueOf(error.getMessage());
  }

  private static PrintWriter writer(PrintStream stream) {
    return new PrintWriter(stream, true, StandardCharsets.UTF_8);
  }

  private static PrintStream stream(FileDescriptor descriptor) {
    return new PrintStream(new FileOutputStream(descriptor), false, StandardCharsets.UTF_8);
  }

  @Override
  public void run() {
    throw new ParameterException(new CommandLine(this), "a command is missing");
  }
}
