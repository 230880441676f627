package dev.vireo.images.container;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Locks on images, among processes and among the threads of each: who makes or removes an image
 * holds its lock alone, who uses it shares it. The kernel ends a lock with the process that holds
 * it. All are byte ranges of one file, the byte being the image's: a file for each would have to be
 * removed with the image, while others may wait for it.
 */
final class ImageLocks {
  private static final String FILE = ".lock";

  // POSIX ends a process's locks on a file with the first descriptor of it that it closes
  // (fcntl(2)), so there is one of each file in a process, and it stays open.
  private static final Map<Path, ImageLocks> OPEN = new ConcurrentHashMap<>();

  /** Held until it is closed. */
  interface Lease extends AutoCloseable {
    @Override
    void close() throws IOException;
  }

  /** What this process holds of one image. */
  private static final class Held {
    private final FileLock lock;
    private int holders = 1;

    Held(FileLock lock) {
      this.lock = lock;
    }
  }

  private final FileChannel file;
  private final Map<ImageId, Held> held = new HashMap<>();

  private ImageLocks(FileChannel file) {
    this.file = file;
  }

  /** Those of a cache directory, which must exist. */
  static ImageLocks of(Path directory) throws IOException {
    Path path = directory.toRealPath().resolve(FILE);
    @Nullable ImageLocks open = OPEN.get(path);
    if (open != null && Files.exists(path)) {
      return open;
    }
    synchronized (OPEN) {
      open = OPEN.get(path);
      // A cache that was deleted whole and made again has another file.
      if (open == null || !Files.exists(path)) {
        open =
            new ImageLocks(
                FileChannel.open(
                    path,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.READ,
                    StandardOpenOption.WRITE));
        OPEN.put(path, open);
      }
      return open;
    }
  }

  /** Waits until nobody else has the image, and then has it alone. */
  Lease alone(ImageId id) throws IOException, InterruptedException {
    synchronized (held) {
      while (held.containsKey(id)) {
        held.wait();
      }
      // Other threads wait meanwhile, for any image: those who make images have one thread for it.
      return hold(id, file.lock(position(id), 1, false));
    }
  }

  /** Has the image alone, unless somebody else has it. */
  Optional<Lease> tryAlone(ImageId id) throws IOException {
    synchronized (held) {
      if (held.containsKey(id)) {
        return Optional.empty();
      }
      return Optional.ofNullable(file.tryLock(position(id), 1, false)).map(lock -> hold(id, lock));
    }
  }

  /** Waits until nobody has the image alone, and then shares it with others. */
  Lease share(ImageId id) throws IOException, InterruptedException {
    synchronized (held) {
      @Nullable Held mine = held.get(id);
      while (mine != null && !mine.lock.isShared()) {
        held.wait();
        mine = held.get(id);
      }
      if (mine != null) {
        mine.holders++;
        return lease(id, mine);
      }
      return hold(id, file.lock(position(id), 1, true));
    }
  }

  private Lease hold(ImageId id, FileLock lock) {
    Held mine = new Held(lock);
    held.put(id, mine);
    return lease(id, mine);
  }

  private Lease lease(ImageId id, Held mine) {
    return new Lease() {
      private boolean closed;

      @Override
      public void close() throws IOException {
        synchronized (held) {
          if (closed) {
            return;
          }
          closed = true;
          mine.holders--;
          if (mine.holders == 0) {
            held.remove(id);
            held.notifyAll();
            mine.lock.release();
          }
        }
      }
    };
  }

  /** Two images that share a byte, of 2^60, would wait for each other and suffer nothing else. */
  private static long position(ImageId id) {
    return Long.parseLong(id.hex().substring(0, 15), 16);
  }
}
