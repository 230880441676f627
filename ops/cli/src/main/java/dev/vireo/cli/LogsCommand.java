package dev.vireo.cli;

import com.google.protobuf.ByteString;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code vireo logs}. */
@Command(name = "logs", description = "Prints a microVM's console.")
final class LogsCommand implements Callable<Integer> {
  private final Environment environment;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Parameters(paramLabel = "NAME")
  private String name = "";

  @Option(
      names = {"-f", "--follow"},
      description = "Go on with what comes, until Ctrl-C or the microVM is gone.")
  private boolean follow;

  @Option(
      names = "--offset",
      paramLabel = "BYTES",
      description = "Start here, counted from the first byte the guest ever wrote.")
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
      ConsoleReader console =
          new ConsoleReader(
              api, api.microVmName(name), offset, sink(environment, raw), environment.err());
      if (follow) {
        console.follow();
      } else {
        console.drain();
      }
      return ExitCode.OK;
    }
  }

  /** Where console bytes go: unchanged into files and pipes, made harmless onto a terminal. */
  static Consumer<ByteString> sink(Environment environment, boolean raw) {
    if (environment.terminal() && !raw) {
      return new TerminalFilter(environment.out());
    }
    return bytes -> {
      try {
        bytes.writeTo(environment.out());
        environment.out().flush();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    };
  }
}
