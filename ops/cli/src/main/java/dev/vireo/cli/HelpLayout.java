package dev.vireo.cli;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Help.Column;
import picocli.CommandLine.Help.TextTable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.UsageMessageSpec;
import picocli.CommandLine.Option;

/**
 * How {@code --help} looks: sections under headings, an empty line between two, the exit codes in
 * each, the commands in groups.
 */
final class HelpLayout {
  /** The commands of {@code vireo}, in the order in which they are met. */
  private record Group(String heading, List<String> commands) {}

  private static final List<Group> GROUPS =
      List.of(
          new Group("To try it", List.of("demo", "doctor", "test", "sim", "fuzz", "bench")),
          new Group("This machine", List.of("up", "down", "store", "node", "image", "kernel")),
          new Group(
              "MicroVMs",
              List.of(
                  "run",
                  "list",
                  "get",
                  "watch",
                  "logs",
                  "exec",
                  "attach",
                  "cp",
                  "port-forward",
                  "invoke",
                  "inspect",
                  "trace",
                  "top",
                  "explain",
                  "events",
                  "stop",
                  "start",
                  "pause",
                  "resume",
                  "memory",
                  "balloon",
                  "resize-console",
                  "delete",
                  "quota")),
          new Group("This command", List.of("help", "completion", "version")));

  private static final int NAME_COLUMN_WIDTH = 17;
  private static final int INDENT = 2;

  private HelpLayout() {}

  /** Lays out the help of {@code root} and of every command below it. */
  static void apply(CommandLine root) {
    addHelp(root);
    root.getHelpSectionMap()
        .put(UsageMessageSpec.SECTION_KEY_COMMAND_LIST, HelpLayout::groupedCommands);
    root.getCommandSpec().usageMessage().commandListHeading("");
  }

  private static void addHelp(CommandLine command) {
    CommandSpec spec = command.getCommandSpec();
    spec.addMixin("help", CommandSpec.forAnnotatedObject(new HelpOption()));
    UsageMessageSpec usage = spec.usageMessage();
    usage
        .abbreviateSynopsis(true)
        .descriptionHeading("%n")
        .parameterListHeading("%nArguments:%n")
        .optionListHeading("%nOptions:%n")
        .commandListHeading("%nCommands:%n")
        .exitCodeListHeading("%nExit codes:%n")
        .footerHeading(usage.footer().length == 0 ? "" : "%n");
    if (usage.exitCodeList().isEmpty()) {
      usage.exitCodeList(UsageMessageSpec.keyValuesMap(ExitCode.HELP));
    }
    Set.copyOf(command.getSubcommands().values()).forEach(HelpLayout::addHelp);
  }

  private static String groupedCommands(Help help) {
    StringBuilder text = new StringBuilder();
    Map<String, CommandLine> commands = help.commandSpec().subcommands();
    int width = help.commandSpec().usageMessage().width();
    for (Group group : GROUPS) {
      TextTable table =
          TextTable.forColumns(
              help.colorScheme(),
              new Column(NAME_COLUMN_WIDTH, INDENT, Column.Overflow.SPAN),
              new Column(width - NAME_COLUMN_WIDTH, INDENT, Column.Overflow.WRAP));
      for (String name : group.commands()) {
        CommandSpec command = Objects.requireNonNull(commands.get(name)).getCommandSpec();
        table.addRowValues(
            String.join(", ", command.names()), command.usageMessage().description()[0]);
      }
      text.append("%n%s:%n".formatted(group.heading())).append(table);
    }
    return text.toString();
  }

  /** {@code -h}, {@code --help}. */
  private static final class HelpOption {
    @Option(
        names = {"-h", "--help"},
        usageHelp = true,
        description = "Shows this.")
    @SuppressWarnings("UnusedVariable") // Picocli sets it and acts on it.
    private boolean help;
  }
}
