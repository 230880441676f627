package dev.vireo.bench;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.Random;

/** The raw file that guests read and write: random bytes, so that nothing is sparse. */
final class BenchDisk {
  static final int MIB = 256;

  private BenchDisk() {}

  /** Writing it leaves it in the host's page cache. */
  static Path write(Path path) throws IOException {
    Random random = new Random(1);
    byte[] mebibyte = new byte[1 << 20];
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      for (int i = 0; i < MIB; i++) {
        random.nextBytes(mebibyte);
        file.write(mebibyte);
      }
      file.getFD().sync(); // written back now, not while something is measured
    }
    return path;
  }
}
