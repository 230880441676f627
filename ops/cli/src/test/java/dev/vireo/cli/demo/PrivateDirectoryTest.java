package dev.vireo.cli.demo;

import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import org.junit.jupiter.api.Test;

class PrivateDirectoryTest {
  @Test
  void goesWithEveryProcessThatWritesIntoIt() throws IOException {
    PrivateDirectory directory = PrivateDirectory.create();
    Process daemon =
        new ProcessBuilder("setsid", "sleep", "1000")
            .redirectOutput(directory.path().resolve("log").toFile())
            .start();

    directory.close();

    daemon.onExit().join();
    assertFalse(Files.exists(directory.path()));
  }
}
