package dev.vireo.emulated;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The outer machine's shell gets the worker's arguments as they were given. */
class NodeScriptTest {
  @Test
  void theWorkerDialsTheHostsLoopback() {
    String script = new NodeScript("emulated-1", List.of(7420, 7422), Map.of()).text();

    assertTrue(script.contains(" --controller 10.0.2.2:7420 --controller 10.0.2.2:7422\n"), script);
    assertTrue(script.contains(" --node-id 'emulated-1' "), script);
  }

  @Test
  void itsCacheOfContainerImagesIsOneThatItMayWrite() {
    String script = new NodeScript("n", List.of(1), Map.of()).text();

    assertTrue(
        script.contains(" --oci /job/oci --container-images /var/lib/vireo/images-oci "), script);
    assertTrue(script.contains("ln -s $image/root.squashfs /var/lib/vireo/images-oci/"), script);
  }

  @Test
  void aLabelIsNeverCode() {
    String script = new NodeScript("n", List.of(1), Map.of("owner", "o'neill; reboot")).text();

    assertTrue(script.contains(" --label 'owner=o'\\''neill; reboot'\n"), script);
    assertEquals(
        new NodeScript("n", List.of(1), Map.of()).text().lines().count(), script.lines().count());
  }

  @Test
  void aWorkerThatIsKilledIsStartedAgainAndOneThatEndsEndsTheNode(@TempDir Path directory)
      throws Exception {
    Path worker = directory.resolve("java");
    Files.writeString(worker, "#!/bin/sh\n[ -e $0.ran ] && exit 3\n> $0.ran\nkill -9 $$\n");
    Files.setPosixFilePermissions(worker, PosixFilePermissions.fromString("rwx------"));
    ProcessBuilder shell =
        new ProcessBuilder("sh", "-c", new NodeScript("n", List.of(1), Map.of()).text())
            .redirectErrorStream(true);
    shell.environment().merge("PATH", directory.toString(), (path, first) -> first + ":" + path);

    Process node = shell.start();
    String said = new String(node.getInputStream().readAllBytes(), UTF_8);

    assertEquals(3, node.waitFor(), said);
    assertTrue(said.contains("the worker was killed, status 137; starting it again"), said);
  }
}
