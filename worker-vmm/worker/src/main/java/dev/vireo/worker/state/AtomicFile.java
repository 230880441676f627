package dev.vireo.worker.state;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * A small file that is replaced whole: a reader sees the old bytes or the new, also after a kill -9
 * in between. Not synced: after a power loss nothing that these files describe runs any more.
 */
public final class AtomicFile {
  private AtomicFile() {}

  /** Replaces the file's content, or makes the file. */
  public static void write(Path file, byte[] content) throws IOException {
    Path temporary = file.resolveSibling(file.getFileName() + ".new");
    Files.write(temporary, content);
    Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
  }
}
