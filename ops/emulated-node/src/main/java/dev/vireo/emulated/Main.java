package dev.vireo.emulated;

import dev.vireo.images.Commands;
import dev.vireo.images.ImageException;
import dev.vireo.images.Progress;
import dev.vireo.images.VireoCache;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The emulated node's command line. */
@Command(
    name = "emulated-node",
    description = "A node for Linux guests on hosts without hardware virtualization.",
    mixinStandardHelpOptions = true,
    subcommands = {
      Main.Build.class,
      RunCommand.class,
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
  static OuterImage outerImage(Progress progress) throws IOException, ImageException {
    return new OuterImageBuilder(
            VireoCache.ofEnvironment(),
            Path.of(System.getProperty("java.home")),
            Commands.ofHost(),
            progress)
        .build();
  }

  static Progress progress() {
    return Progress.to(System.err, System::nanoTime);
  }

  @Command(name = "build", description = "Build the outer machine's image into the cache.")
  static final class Build implements Callable<Integer> {
    @Override
    public Integer call() throws Exception {
      System.out.println(outerImage(progress()).rootDisk().getParent());
      return 0;
    }
  }
}
