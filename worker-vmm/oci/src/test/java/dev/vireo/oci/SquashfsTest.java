package dev.vireo.oci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.ImageException;
import dev.vireo.images.ImageException.Reason;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is said when no squashfs can be made. */
class SquashfsTest {
  @TempDir private Path directory = Path.of("");

  private final byte[] tar = new Tar().file("f", "x".repeat(100_000)).bytes();

  @Test
  void aFullDiskIsCalledSo() throws Exception {
    // A link, for the program removes what it could not write.
    Path full = Files.createSymbolicLink(directory.resolve("root"), Path.of("/dev/full"));

    ImageException failure =
        assertThrows(ImageException.class, () -> Squashfs.make(full, out -> write(out, tar)));

    assertEquals(Reason.DISK_FULL, failure.reason());
    assertTrue(
        String.valueOf(failure.getMessage())
            .startsWith("the disk of the image cache is full, or broken;"),
        failure::getMessage);
    assertTrue(Files.exists(Path.of("/dev/full")));
  }

  @Test
  void theProgramsOwnWordsAreHandedOn() {
    Path nowhere = directory.resolve("none/root");

    ImageException failure =
        assertThrows(
            ImageException.class,
            () -> Squashfs.make(nowhere, out -> write(out, new byte[1 << 20])));

    assertEquals(Reason.TOOL_FAILED, failure.reason());
    assertTrue(String.valueOf(failure.getMessage()).contains("No such file"), failure::getMessage);
  }

  /** As a root's writer does: the program may end before it has read all. */
  private static void write(OutputStream out, byte[] bytes) throws IOException {
    try {
      out.write(bytes);
    } catch (IOException e) {
      throw new LayerScan.OutputException(e);
    }
  }
}
