package dev.vireo.cli;

import dev.vireo.proto.v1.LogSource;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo logs}. */
@Command(
    name = "logs",
    description = "Prints what a microVM's container has written, or its console.")
final class LogsCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Parameters(paramLabel = "NAME")
  private String name = "";

  @Option(
      names = {"-f", "--follow"},
      description = "Go on with what comes, until Ctrl-C or the microVM is gone.")
  private boolean follow;

  @Option(names = "--console", description = "The console, also of a microVM with a container.")
  private boolean console;

  @Option(
      names = {"-t", "--timestamps"},
      description = "Of a container's output: when each line came.")
  private boolean timestamps;

  @Option(
      names = "--offset",
      paramLabel = "BYTES",
      description = "Start here, counted from the first byte the guest ever wrote to its console.")
  private long offset;

  @Option(
      names = "--raw",
      description = "Pass every byte, also control sequences that a terminal obeys.")
  private boolean raw;

  LogsCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment)) {
      LogReader log =
          new LogReader(
              api,
              api.microVmName(name),
              console ? LogSource.LOG_SOURCE_CONSOLE : LogSource.LOG_SOURCE_UNSPECIFIED,
              offset,
              new LogSink(environment, raw, timestamps),
              environment.err());
      if (follow) {
        log.follow();
      } else {
        log.drain();
      }
      return ExitCode.OK;
    }
  }
}
