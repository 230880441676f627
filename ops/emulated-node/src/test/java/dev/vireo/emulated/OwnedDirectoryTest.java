package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A directory has one living owner; what a killed one left goes with the next start. */
class OwnedDirectoryTest {
  @TempDir Path parent;

  @Test
  void whatAKilledProcessLeftIsRemovedAndWhatALivingOneUsesIsNot() throws Exception {
    Process killed = owner(parent.resolve("killed"));
    Process living = owner(parent.resolve("living"));
    try {
      killed.destroyForcibly().waitFor();
      Path path;
      try (var scratch = OwnedDirectory.scratch(parent)) {
        path = scratch.path();
        assertTrue(Files.exists(path));
        assertFalse(Files.exists(parent.resolve("killed")));
        assertTrue(Files.exists(parent.resolve("living")));
      }
      assertFalse(Files.exists(path));
    } finally {
      living.destroyForcibly().waitFor();
    }
  }

  @Test
  void aDirectoryInUseIsRefused() throws Exception {
    Process living = owner(parent.resolve("living"));
    try {
      var refusal =
          assertThrows(
              EmulatedNodeException.class, () -> OwnedDirectory.claim(parent.resolve("living")));
      assertEquals(EmulatedNodeException.Reason.STATE_IN_USE, refusal.reason());
    } finally {
      living.destroyForcibly().waitFor();
    }
  }

  /** Another process that owns a directory. */
  private static Process owner(Path directory) throws Exception {
    Process process =
        new ProcessBuilder(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin/java").toString(),
                    "-cp",
                    System.getProperty("java.class.path"),
                    Owner.class.getName(),
                    directory.toString()))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    assertEquals("mine", process.inputReader().readLine());
    return process;
  }

  /** Claims a directory and never ends by itself. */
  static final class Owner {
    private Owner() {}

    public static void main(String[] arguments) throws Exception {
      try (var owned = OwnedDirectory.claim(Path.of(arguments[0]))) {
        System.out.println(Files.exists(owned.path()) ? "mine" : "nobody's");
        Thread.currentThread().join();
      }
    }
  }
}
