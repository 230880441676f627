package dev.vireo.vmm.machine;

import static java.util.Objects.requireNonNull;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.vmm.machine.Machine.MemoryFile;
import dev.vireo.vmm.memory.Backing;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * The host's side of memory that is plugged into a guest while it runs. The addresses for all of it
 * are kept from the beginning; memory is behind them where a block is plugged, and, of huge pages
 * alone, taken from the host when it is: of other memory a guest gets each page when it touches it.
 * Unplugged, it is the host's again.
 *
 * <p>KVM knows the region in windows, each a memory slot that is there while any block in it is
 * plugged. The guest finds no memory in the others. What it touches of an unplugged block within a
 * window is memory that it was not given, and no more than its spec reserves.
 */
final class PluggableMemory implements HotplugRegion.Host, AutoCloseable {
  /** KVM's memory slots of a VM. */
  interface Slots {
    /**
     * @param memory empty: the slot is to go
     */
    void set(int slot, long guestAddress, MemorySegment memory);
  }

  /** Behind those of RAM and of the devices' register pages. */
  static final int FIRST_MEMORY_SLOT = 128;

  /** Older kernels have 509 slots in all. */
  private static final int MAX_WINDOWS = 256;

  /** What Linux adds to a guest at once, so that a plug seldom makes more than one slot. */
  private static final long MIN_WINDOW_BYTES = 128L << 20;

  /** Of the host's addresses, for huge pages where they are to be had. */
  private static final long ALIGNMENT = 2L << 20;

  private final HotplugLayout layout;
  private final Slots slots;
  // Of huge pages alone, which are taken while the guest runs.
  private final @Nullable Fd pages;
  private final long fileOffset;
  private final Backing backing;
  private final MemoryMapping mapping;
  private final HotplugRegion region;
  private final long windowBytes;
  // By window.
  private final long[] pluggedBytes;
  private final boolean[] present;
  private final AtomicLong failures = new AtomicLong();

  /**
   * @param file null for memory of this process; may be closed once this is made
   * @param fileOffset where the region's bytes begin in it
   * @throws LinuxException if the host has no room for it
   */
  PluggableMemory(HotplugLayout layout, Slots slots, @Nullable MemoryFile file, long fileOffset) {
    this.layout = layout;
    this.slots = slots;
    this.fileOffset = fileOffset;
    this.backing = file == null ? Backing.ANONYMOUS : file.backing();
    long window = Math.max(MIN_WINDOW_BYTES, layout.blockBytes());
    while (Math.ceilDiv(layout.bytes(), window) > MAX_WINDOWS) {
      window *= 2;
    }
    this.windowBytes = window;
    int windows = (int) Math.ceilDiv(layout.bytes(), window);
    this.pluggedBytes = new long[windows];
    this.present = new boolean[windows];
    this.mapping =
        file == null || backing == Backing.HUGE_PAGES
            ? MemoryMapping.anonymousAligned(layout.bytes(), ALIGNMENT)
            : MemoryMapping.shared(file.fd(), fileOffset, layout.bytes());
    try {
      mapping.advise(MemoryMapping.MADV_DONTDUMP);
      this.pages = file != null && backing == Backing.HUGE_PAGES ? file.fd().duplicate() : null;
    } catch (LinuxException e) {
      mapping.close();
      throw e;
    }
    this.region = new HotplugRegion(layout, mapping.segment(), backing, this);
  }

  HotplugRegion region() {
    return region;
  }

  @Override
  public void plug(long offset, long bytes) {
    take(offset, bytes);
    int last = window(offset + bytes - 1);
    for (int window = window(offset); window <= last; window++) {
      pluggedBytes[window] += share(window, offset, bytes);
    }
    try {
      for (int window = window(offset); window <= last; window++) {
        show(window);
      }
    } catch (LinuxException e) {
      unplug(offset, bytes);
      throw e;
    }
  }

  @Override
  public void unplug(long offset, long bytes) {
    giveBack(offset, bytes);
    int last = window(offset + bytes - 1);
    for (int window = window(offset); window <= last; window++) {
      pluggedBytes[window] -= share(window, offset, bytes);
      hide(window);
    }
  }

  @Override
  public long failures() {
    return failures.get();
  }

  /** Memory is behind a range from now on. */
  private void take(long offset, long bytes) {
    if (pages == null) {
      return; // It is there for who touches it.
    }
    try {
      // Taken now, so that a guest never touches a page that is not to be had.
      pages.allocate(0, fileOffset + offset, bytes);
      mapping.replacePart(offset, bytes, pages, fileOffset + offset);
    } catch (LinuxException e) {
      punch(offset, bytes);
      throw e;
    }
  }

  /** What is behind a range is the host's from now on. */
  private void giveBack(long offset, long bytes) {
    switch (backing) {
      case ANONYMOUS -> advise(offset, bytes, MemoryMapping.MADV_DONTNEED);
      case SHARED -> advise(offset, bytes, MemoryMapping.MADV_REMOVE);
      case HUGE_PAGES -> {
        // Not a hole: a device's thread that is still at it would die.
        mapping.clearPart(offset, bytes);
        punch(offset, bytes);
      }
    }
  }

  private void advise(long offset, long bytes, int advice) {
    MemoryMapping.advise(mapping.segment().address() + offset, bytes, advice);
  }

  private void punch(long offset, long bytes) {
    try {
      requireNonNull(pages, "huge pages are a file's")
          .allocate(Fd.FALLOC_FL_PUNCH_HOLE | Fd.FALLOC_FL_KEEP_SIZE, fileOffset + offset, bytes);
    } catch (LinuxException e) {
      failures.incrementAndGet(); // The file keeps them; nobody else is hurt.
    }
  }

  private void show(int window) {
    if (!present[window]) {
      long offset = window * windowBytes;
      long bytes = Math.min(windowBytes, layout.bytes() - offset);
      slots.set(
          FIRST_MEMORY_SLOT + window,
          layout.base() + offset,
          mapping.segment().asSlice(offset, bytes));
      present[window] = true;
    }
  }

  private void hide(int window) {
    if (present[window] && pluggedBytes[window] == 0) {
      try {
        slots.set(
            FIRST_MEMORY_SLOT + window,
            layout.base() + window * windowBytes,
            mapping.segment().asSlice(0, 0));
        present[window] = false;
      } catch (LinuxException e) {
        failures.incrementAndGet(); // It stays, with nothing plugged in it.
      }
    }
  }

  private int window(long offset) {
    return (int) (offset / windowBytes);
  }

  /** Bytes of a range that are in a window. */
  private long share(int window, long offset, long bytes) {
    long start = window * windowBytes;
    return Math.min(offset + bytes, start + windowBytes) - Math.max(offset, start);
  }

  /** The guest must not run any more. */
  @Override
  public void close() {
    mapping.close();
    if (pages != null) {
      pages.close();
    }
  }
}
