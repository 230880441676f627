package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.ARCHITECTURE_UNSUPPORTED;

import dev.vireo.images.Architecture;
import dev.vireo.images.Commands;
import dev.vireo.images.ImageException;
import dev.vireo.images.Progress;
import dev.vireo.images.VireoCache;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The emulated node's command line. */
@Command(
    name = "emulated-node",
    description = "A node for Linux guests on hosts without hardware virtualization.",
    mixinStandardHelpOptions = true,
    subcommands = {
      Main.Build.class,
      RunCommand.class,
      TestCommand.class,
      NodeCommand.class,
      ExecCommand.class,
      DownCommand.class
    })
public final class Main {
  private Main() {}

  public static void main(String[] arguments) {
    System.exit(
        new CommandLine(new Main()).setExecutionExceptionHandler(Main::explain).execute(arguments));
  }

  private static int explain(
      Exception error, CommandLine commandLine, CommandLine.ParseResult parsed) throws Exception {
    if (error instanceof RuntimeException) {
      // A bug of ours: with its stack.
      throw error;
    }
    commandLine.getErr().println("error: " + error.getMessage());
    return 1;
  }

  /** The outer machine's image, built if it is not yet. */
  static OuterImage outerImage(Architecture architecture, Progress progress)
      throws IOException, ImageException {
    Path cache = VireoCache.ofEnvironment();
    Commands commands = Commands.ofHost();
    JavaRuntime java =
        architecture == Architecture.ofHost()
            ? new LinkedJavaRuntime(Path.of(System.getProperty("java.home")), commands, progress)
            : new DebianJavaRuntime(architecture, cache, commands, progress);
    return new OuterImageBuilder(architecture, cache, java, commands, progress).build();
  }

  /** The {@code --arch} of commands that start an outer machine. */
  static final class ArchitectureOption {
    @Option(
        names = "--arch",
        paramLabel = "ARCH",
        defaultValue = "x86_64",
        description = "Of the outer machine, x86_64 or arm64. Default: ${DEFAULT-VALUE}.")
    private String label = "";

    Architecture architecture() throws EmulatedNodeException {
      return Architecture.labelled(label)
          .orElseThrow(() ->
              new EmulatedNodeException(
                  ARCHITECTURE_UNSUPPORTED, "there is no emulated node for " + label));
    }
  }

  static Progress progress() {
    return Progress.to(System.err, System::nanoTime);
  }

  @Command(name = "build", description = "Build the outer machine's image into the cache.")
  static final class Build implements Callable<Integer> {
    @Mixin private ArchitectureOption arch = new ArchitectureOption();

    @Override
    public Integer call() throws Exception {
      System.out.println(outerImage(arch.architecture(), progress()).rootDisk().getParent());
      return 0;
    }
  }
}
