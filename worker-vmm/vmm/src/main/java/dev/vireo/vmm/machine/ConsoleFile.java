package dev.vireo.vmm.machine;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * The file that keeps what the guest prints. Bytes keep their offsets for good: past the cap the
 * oldest are punched out of the file. A guest that prints more than the disk can take loses bytes,
 * nothing else.
 */
public final class ConsoleFile implements Serial16550.Output {
  /** What the console has to tell. Called on a vCPU thread. */
  public interface Listener {
    /** The first byte of this machine's life. */
    void consoleStarted();

    /** The ready marker was printed; with an empty marker, right after the first byte. */
    void consoleReady();
  }

  /** Holes are whole blocks, and not punched for every line. */
  private static final long BLOCK = 4096;

  private static final long PUNCH_STEP = 64 << 10;

  private final Fd file;
  private final long maxBytes;
  private final MarkerSearch marker;
  private final Listener listener;
  private volatile long end;
  private long punchedUpTo;
  private boolean canPunch = true;
  private boolean started;
  private boolean ready;

  /**
   * Goes on at the end of the file.
   *
   * @param file open for reading and writing; stays the caller's
   * @param maxBytes what is kept at least; up to 128 KiB more may be
   * @param readyMarker the text that tells that the guest is ready; may be empty
   */
  public ConsoleFile(Fd file, long maxBytes, String readyMarker, Listener listener) {
    this.file = file;
    this.maxBytes = maxBytes;
    this.marker = new MarkerSearch(readyMarker.getBytes(StandardCharsets.UTF_8));
    this.listener = listener;
    this.end = file.size();
  }

  /** Bytes ever printed, those that are no longer kept included. */
  public long bytes() {
    return end;
  }

  @Override
  public void write(MemorySegment bytes) {
    if (append(bytes)) {
      punchOldest();
    }
    if (!started) {
      started = true;
      listener.consoleStarted();
    }
    if (!ready && marker.endsIn(bytes)) {
      ready = true;
      listener.consoleReady();
    }
  }

  private boolean append(MemorySegment bytes) {
    if (!canPunch && end >= maxBytes) {
      return false;
    }
    long start = end;
    try {
      file.writeFully(bytes, start);
    } catch (LinuxException e) {
      return false; // The disk is full, most likely: as if the line were cut.
    }
    end = start + bytes.byteSize();
    return true;
  }

  private void punchOldest() {
    long keepFrom = (end - maxBytes) & -BLOCK;
    if (keepFrom - punchedUpTo < PUNCH_STEP || !canPunch) {
      return;
    }
    try {
      file.allocate(
          Fd.FALLOC_FL_PUNCH_HOLE | Fd.FALLOC_FL_KEEP_SIZE, punchedUpTo, keepFrom - punchedUpTo);
      punchedUpTo = keepFrom;
    } catch (LinuxException e) {
      canPunch = false; // Not on this file system: so what comes now is lost instead.
    }
  }

  /** Finds a byte sequence in a stream that comes in pieces (Knuth, Morris and Pratt). */
  private static final class MarkerSearch {
    private final byte[] marker;
    private final int[] fallback;
    private int matched;

    MarkerSearch(byte[] marker) {
      this.marker = marker;
      this.fallback = new int[marker.length];
      for (int i = 1, length = 0; i < marker.length; i++) {
        length = extend(length, marker[i]);
        fallback[i] = length;
      }
    }

    boolean endsIn(MemorySegment bytes) {
      for (long i = 0; i < bytes.byteSize() && matched < marker.length; i++) {
        matched = extend(matched, bytes.get(ValueLayout.JAVA_BYTE, i));
      }
      return matched == marker.length;
    }

    private int extend(int length, byte next) {
      int candidate = length;
      while (candidate > 0 && marker[candidate] != next) {
        candidate = fallback[candidate - 1];
      }
      return marker[candidate] == next ? candidate + 1 : 0;
    }
  }
}
