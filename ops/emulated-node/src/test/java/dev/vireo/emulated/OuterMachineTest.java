package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Commands;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The outer machine is there for its job, offers KVM to it, and is gone with its owner. */
class OuterMachineTest {
  @TempDir Path directory;

  @Test
  void aConsoleWithoutAnEndMeansThatTheMachineFailed() throws Exception {
    assertEquals(7, RunCommand.statusIn("vireo-emulated: 5.91 job ended with status 7\r\n"));
    var failure =
        assertThrows(
            EmulatedNodeException.class, () -> RunCommand.statusIn("Kernel panic - not syncing"));
    assertEquals(EmulatedNodeException.Reason.MACHINE_FAILED, failure.reason());
    assertTrue(String.valueOf(failure.getMessage()).contains("Kernel panic"));
  }

  @Test
  @Tag("linux")
  void aJobRunsWithItsFilesAndKvm() throws Exception {
    Path output = directory.resolve("output");
    Path contents = Files.createDirectory(directory.resolve("contents"));
    Files.writeString(contents.resolve("greeting"), "hello\n");
    Path disk = directory.resolve("job.ext4");
    JobDisk.make(contents, disk, Commands.ofHost());
    String script = "cat greeting; cat /sys/module/kvm_amd/parameters/npt; ls /dev/kvm; exit 3";

    var job = new OuterMachine.Job(disk, script, 1024);
    try (var machine =
        OuterMachine.start(
            Main.outerImage(step -> {}), job, directory, Redirect.to(output.toFile()))) {
      assertTrue(machine.await(120));
      assertEquals(3, RunCommand.statusIn(machine.console()));
    }

    assertEquals("hello\nY\n/dev/kvm\n", Files.readString(output));
  }
}
