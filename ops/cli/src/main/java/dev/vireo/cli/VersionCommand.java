package dev.vireo.cli;

import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;

/** {@code vireo version}. */
@Command(name = "version", description = "Prints the version.")
final class VersionCommand implements Callable<Integer> {
  private final Environment environment;

  VersionCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    environment
        .out()
        .println("vireo %s, Java %s".formatted(version(), Runtime.version().feature()));
    return ExitCode.OK;
  }

  private static String version() {
    // From the jar's manifest; there is none when classes run from a directory.
    @Nullable String version = Main.class.getPackage().getImplementationVersion();
    return version == null ? "(unpackaged)" : version;
  }
}
