package dev.vireo.emulated;

import dev.vireo.images.Commands;
import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import dev.vireo.images.VireoCache;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Boots an outer machine for one shell command, and ends with that command's exit status. */
@Command(
    name = "run",
    description = "Boot the outer machine, run a shell command in it, print its output.",
    mixinStandardHelpOptions = true)
final class RunCommand implements Callable<Integer> {
  @Option(
      names = "--exec",
      required = true,
      paramLabel = "COMMAND",
      description = "What the outer machine's shell (busybox) runs, in /job.")
  private String command = "";

  @Option(
      names = "--add",
      paramLabel = "FILE[:NAME]",
      description = "A file or directory for /job, under its own or another name. Repeatable.")
  private List<String> additions = List.of();

  @Option(
      names = "--program",
      paramLabel = "NAME",
      description = "A program of this host, with its libraries. Repeatable.")
  private List<String> programs = List.of();

  @Option(names = "--memory", paramLabel = "MIB", description = "Default: ${DEFAULT-VALUE}.")
  private int memoryMib = 2048;

  @Option(names = "--timeout", paramLabel = "SECONDS", description = "Default: ${DEFAULT-VALUE}.")
  private int timeoutSeconds = 300;

  @Option(names = "--console", paramLabel = "FILE", description = "Keep the outer console here.")
  private @Nullable Path consoleCopy;

  @Mixin private Main.ArchitectureOption arch = new Main.ArchitectureOption();

  @Override
  public Integer call() throws Exception {
    OuterImage image = Main.outerImage(arch.architecture(), Main.progress());
    try (var state =
        OwnedDirectory.scratch(VireoCache.ofEnvironment().resolve("emulated-node/runs"))) {
      return run(image, state.path());
    }
  }

  private int run(OuterImage image, Path state)
      throws IOException, ImageException, InterruptedException, EmulatedNodeException {
    Path disk = state.resolve("job.ext4");
    JobDisk.make(staged(state.resolve("job")), disk, Commands.ofHost());
    var job = new OuterMachine.Job(disk, script(), memoryMib);
    return new SingleJob(image, job, timeoutSeconds, consoleCopy).run(state);
  }

  private String script() {
    return "export PATH=%s:$PATH\n%s\n".formatted(HostProgram.DIRECTORY, command);
  }

  private Path staged(Path directory) throws IOException, ImageException {
    Files.createDirectories(directory);
    for (String addition : additions) {
      int colon = addition.lastIndexOf(':');
      Path source = Path.of(colon < 0 ? addition : addition.substring(0, colon));
      String name =
          colon < 0
              ? String.valueOf(source.toAbsolutePath().normalize().getFileName())
              : addition.substring(colon + 1);
      FileTrees.copy(source, directory.resolve(name));
    }
    for (String program : programs) {
      new HostProgram(program, Commands.ofHost()).addTo(directory);
    }
    return directory;
  }
}
