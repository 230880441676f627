package dev.vireo.worker.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SparseCopyTest {
  private static final long MIB = 1 << 20;

  @TempDir private Path directory;

  @Test
  void copiesDataAndKeepsHoles() throws IOException {
    Path source = directory.resolve("source");
    byte[] random = new byte[(int) (3 * MIB + 512)];
    new Random(1).nextBytes(random);
    try (RandomAccessFile file = new RandomAccessFile(source.toFile(), "rw")) {
      file.setLength(200 * MIB);
      file.seek(10 * MIB);
      file.write(random);
      file.seek(199 * MIB);
      file.write(7);
    }
    Path copy = directory.resolve("copy");
    try (Fd fd = Fd.open(source.toString(), Fd.O_RDONLY)) {
      SparseCopy.copy(fd, copy);
    }
    assertEquals(-1, Files.mismatch(source, copy));
    assertTrue(bytesOnDisk(copy) < 8 * MIB, bytesOnDisk(copy) + " bytes on disk");
  }

  @Test
  void copiesAFileWithoutData() throws IOException {
    Path source = directory.resolve("source");
    try (RandomAccessFile file = new RandomAccessFile(source.toFile(), "rw")) {
      file.setLength(MIB);
    }
    Path copy = Files.writeString(directory.resolve("copy"), "what was there before");
    try (Fd fd = Fd.open(source.toString(), Fd.O_RDONLY)) {
      SparseCopy.copy(fd, copy);
    }
    assertArrayEquals(new byte[(int) MIB], Files.readAllBytes(copy));
  }

  private static long bytesOnDisk(Path file) throws IOException {
    Process process = new ProcessBuilder("stat", "-c", "%b", file.toString()).start();
    return Long.parseLong(
            new String(
                    process.getInputStream().readAllBytes(),
                    java.nio.charset.StandardCharsets.UTF_8)
                .strip())
        * 512;
  }
}
