package dev.vireo.emulated;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.Commands;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The outer machine is there for its job, offers KVM to it, and is gone with its owner. */
class OuterMachineTest {
  private static final int PATIENCE_SECONDS = 120;
  private static final Duration LIMIT = Duration.ofSeconds(PATIENCE_SECONDS);
  private static final Duration ONE_SECOND = Duration.ofSeconds(1);

  @TempDir Path directory;

  @Test
  void aConsoleWithoutAnEndMeansThatTheMachineFailed() throws Exception {
    assertEquals(7, SingleJob.statusIn("vireo-emulated: 5.91 job ended with status 7\r\n"));
    var failure =
        assertThrows(
            EmulatedNodeException.class, () -> SingleJob.statusIn("Kernel panic - not syncing"));
    assertEquals(EmulatedNodeException.Reason.MACHINE_FAILED, failure.reason());
    assertTrue(String.valueOf(failure.getMessage()).contains("Kernel panic"));
  }

  @Test
  @Tag("linux")
  void aJobRunsWithItsFilesAndKvm() throws Exception {
    Path contents = Files.createDirectory(directory.resolve("contents"));
    Files.writeString(contents.resolve("greeting"), "hello\n");

    try (var machine =
        start("cat greeting; cat /sys/module/kvm_amd/parameters/npt; ls /dev/kvm; exit 3")) {
      assertTrue(machine.await(PATIENCE_SECONDS));
      assertEquals(3, SingleJob.statusIn(machine.console()));
    }

    assertEquals("hello\nY\n/dev/kvm\n", Files.readString(directory.resolve("output")));
  }

  @Test
  @Tag("linux")
  void aCommandRunsInAMachineThatIsUp() throws Exception {
    try (var machine = start("while [ ! -e /tmp/done ]; do sleep 1; done")) {
      await()
          .atMost(PATIENCE_SECONDS, SECONDS)
          .until(() -> machine.console().contains("user space"));
      var shell = new ShellClient(directory);

      assertEquals(
          new ShellClient.Result(5, "äöü\nwith 'quotes'\n"),
          shell.run("echo äöü\necho \"with 'quotes'\"\nexit 5", LIMIT));
      assertEquals(
          new ShellClient.Result(ShellClient.KILLED, "begun\nKilled\n"),
          shell.run("echo begun; mkfifo /tmp/fifo; echo nobody reads > /tmp/fifo", ONE_SECOND));
      assertEquals(new ShellClient.Result(0, ""), shell.run("touch /tmp/done", LIMIT));
      assertTrue(machine.await(PATIENCE_SECONDS));
    }
    var refusal =
        assertThrows(
            EmulatedNodeException.class, () -> new ShellClient(directory).run("true", LIMIT));
    assertEquals(EmulatedNodeException.Reason.NOT_RUNNING, refusal.reason());
  }

  @Test
  @Tag("linux")
  void aClockThatRunsWrongIsFoundBeforeTheJobBegins() throws Exception {
    // Ten times too low on any host: seconds pass in a tenth of their time.
    try (var machine = start("echo never", "tsc_early_khz=200000")) {
      assertTrue(machine.await(PATIENCE_SECONDS));
      assertTrue(machine.lostItsClock());
    }
    assertEquals("", Files.readString(directory.resolve("output")));
  }

  private OuterMachine start(String script) throws Exception {
    return start(script, "");
  }

  private OuterMachine start(String script, String kernelArguments) throws Exception {
    Path contents = Files.createDirectories(directory.resolve("contents"));
    Path disk = directory.resolve("job.ext4");
    JobDisk.make(contents, disk, Commands.ofHost());
    return OuterMachine.start(
        Main.outerImage(Architecture.X86_64, step -> {}),
        new OuterMachine.Job(disk, script, 1024, kernelArguments),
        directory,
        Redirect.to(directory.resolve("output").toFile()));
  }
}
