package dev.vireo.cli.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.cli.CommandException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How a network without root fails to start. How it does start is the system tests' to tell. */
class LocalNetworkTest {
  @TempDir private Path directory = Path.of("");

  private final Progress progress =
      new Progress(new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8));

  private Path bin;
  private Daemons daemons;

  @BeforeEach
  void open() throws IOException {
    bin = Files.createDirectory(directory.resolve("bin"));
    daemons = new Daemons(directory.resolve("state"), directory, directory, progress);
  }

  @AfterEach
  void stop() {
    network().stop();
    daemons.close();
  }

  private LocalNetwork network() {
    return new LocalNetwork(daemons, progress, bin.toString(), directory.resolve("tun"));
  }

  private void install(String program, String script) throws IOException {
    Path file = Files.writeString(bin.resolve(program), "#!/bin/sh\n" + script);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  @Test
  void whatIsMissingIsToldWithWhatToDoAboutIt() throws IOException {
    assertEquals("apt-get install passt", remedyOf("pasta is not installed"));
    install("pasta", "");
    assertEquals("apt-get install nftables", remedyOf("nft is not installed"));
    install("nft", "");
    assertEquals("apt-get install iproute2", remedyOf("ip is not installed"));
    install("ip", "");
    assertEquals(
        "chmod 666 " + directory.resolve("tun"),
        remedyOf(directory.resolve("tun") + " may not be opened by this user"));
    assertFalse(Files.exists(directory.resolve("state/daemons/network")), "nothing was started");
  }

  private String remedyOf(String problem) {
    CommandException error = assertThrows(CommandException.class, () -> network().start());
    assertEquals(problem, error.problem());
    return error.remedy().substring(error.remedy().indexOf("sudo ") + "sudo ".length());
  }

  @Test
  void aProcessOfThisNamespaceIsNotElsewhere() {
    assertFalse(LocalNetwork.isElsewhere(ProcessHandle.current()));
  }

  @Test
  void pastaIsToldWhatItsVersionKnows() throws IOException {
    install("pasta", "echo '  --host-lo-to-ns-lo  Translate'\n");
    assertTrue(network().pastaCommand(1).contains("--host-lo-to-ns-lo"));
    install("pasta", "echo '  --no-map-gw'\n");
    assertFalse(network().pastaCommand(1).contains("--host-lo-to-ns-lo"));
  }
}
