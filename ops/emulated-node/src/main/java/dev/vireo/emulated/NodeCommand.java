package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.MACHINE_FAILED;

import dev.vireo.images.Architecture;
import dev.vireo.images.Commands;
import dev.vireo.images.GuestImage;
import dev.vireo.images.ImageBuilder;
import dev.vireo.images.ImageDirectory;
import dev.vireo.images.ImageException;
import dev.vireo.images.Progress;
import dev.vireo.images.SourceTree;
import dev.vireo.images.VireoCache;
import dev.vireo.images.container.ContainerImageCache;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Runs a node in the foreground: its output is the worker's, and it ends with this process. */
@Command(
    name = "node",
    description = "Run an emulated node that joins a controller on this host's loopback.",
    mixinStandardHelpOptions = true)
final class NodeCommand implements Callable<Integer> {
  @Option(
      names = "--controller-port",
      required = true,
      split = ",",
      paramLabel = "PORT",
      description = "Of several controllers each, with commas between.")
  private List<Integer> controllerPorts = List.of();

  @Option(names = "--node-id", defaultValue = "emulated-1", paramLabel = "ID")
  private String nodeId = "";

  @Option(names = "--label", paramLabel = "KEY=VALUE", description = "Repeatable.")
  private Map<String, String> labels = Map.of();

  @Option(
      names = "--state-dir",
      required = true,
      paramLabel = "DIR",
      description = "Of this node alone: console.log of the outer machine, and who owns it.")
  private Path stateDirectory = Path.of("");

  @Option(
      names = "--image",
      paramLabel = "NAME",
      description =
          "One more guest image of the node, built if it is not there. Repeatable. A node always has"
              + " debian-12, and vireo-6.1 where its kernel has been compiled.")
  private List<String> imageNames = List.of();

  @Option(names = "--memory", paramLabel = "MIB", description = "Default: ${DEFAULT-VALUE}.")
  private int memoryMib = 2048;

  @Mixin private Main.ArchitectureOption arch = new Main.ArchitectureOption();

  @Override
  public Integer call() throws Exception {
    try (var owned = OwnedDirectory.claim(stateDirectory)) {
      return run(arch.architecture(), owned.path(), Main.progress());
    }
  }

  private int run(Architecture architecture, Path state, Progress progress)
      throws IOException, ImageException, EmulatedNodeException, InterruptedException {
    OuterImage outer = Main.outerImage(architecture, progress);
    Path disk =
        new NodeDisk(
                VireoCache.ofEnvironment(),
                outer,
                SourceTree.ofEnvironment(),
                images(architecture, progress),
                ContainerImageCache.ofEnvironment(architecture),
                Commands.ofHost(),
                progress)
            .obtain();
    String script = new NodeScript(nodeId, controllerPorts, labels).text();
    var job = new OuterMachine.Job(disk, script, memoryMib);
    progress.step(
        "starting the outer machine; its console: " + state.resolve(OuterMachine.CONSOLE_FILE));
    for (int start = 1; ; start++) {
      try (var machine = OuterMachine.start(outer, job, state, Redirect.INHERIT)) {
        Thread plug = Thread.ofPlatform().unstarted(machine::pullPlug);
        Runtime.getRuntime().addShutdownHook(plug);
        machine.await();
        if (!machine.lostItsClock() || start == OuterMachine.MOST_STARTS) {
          throw new EmulatedNodeException(
              MACHINE_FAILED, "the outer machine has ended; its console:\n" + machine.console());
        }
        progress.step("the outer machine's clock runs wrong; starting it again");
      }
    }
  }

  private List<GuestImage> images(Architecture architecture, Progress progress)
      throws IOException, ImageException {
    ImageBuilder builder =
        ImageBuilder.of(
            ImageDirectory.ofEnvironment(architecture),
            architecture,
            VireoCache.ofEnvironment(),
            SourceTree.ofEnvironment(),
            progress);
    List<GuestImage> images = new ArrayList<>();
    images.add(builder.build("debian-12"));
    builder.buildQuickly("vireo-6.1").ifPresent(images::add);
    for (String name : imageNames) {
      images.add(builder.build(name));
    }
    return images;
  }
}
