package dev.vireo.vmm.memory;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLongArray;

/**
 * The part of a guest's memory that comes and goes in blocks while it runs, and which of them are
 * there. {@link GuestMemory} asks for every access to it; one that is not wholly in plugged blocks
 * is refused.
 *
 * <p>One thread plugs and unplugs, any thread may ask. An access that was allowed may be under way
 * while its block goes: there is always something mapped at the block's address, so that nobody
 * dies of it, and what it writes there is nobody's.
 */
public final class HotplugRegion {
  /** Where the memory comes from. Ranges are of whole blocks, and of one state. */
  public interface Host {
    /**
     * Gives the guest memory.
     *
     * @param offset from the region's base
     * @throws dev.vireo.linux.LinuxException if there is none; nothing has changed
     */
    void plug(long offset, long bytes);

    /**
     * Takes it back, with what is in it.
     *
     * @throws dev.vireo.linux.LinuxException if that cannot be done; the guest still has it
     */
    void unplug(long offset, long bytes);

    /** How often a part of what was taken back could not be freed. */
    long failures();
  }

  private static final int WORD_SHIFT = 6;

  private final HotplugLayout layout;
  private final MemorySegment segment;
  private final Backing backing;
  private final Host host;
  private final int blockShift;
  // A bit for each block. Those who look see a change no later than what the guest does after it.
  private final AtomicLongArray plugged;
  private volatile int pluggedBlocks;

  /**
   * @param segment the host's addresses for all blocks, plugged or not
   */
  public HotplugRegion(HotplugLayout layout, MemorySegment segment, Backing backing, Host host) {
    if (segment.byteSize() != layout.bytes()) {
      throw new IllegalArgumentException(segment.byteSize() + " bytes for " + layout);
    }
    this.layout = layout;
    this.segment = segment;
    this.backing = backing;
    this.host = host;
    this.blockShift = Long.numberOfTrailingZeros(layout.blockBytes());
    this.plugged = new AtomicLongArray(((layout.blocks() - 1) >> WORD_SHIFT) + 1);
  }

  public HotplugLayout layout() {
    return layout;
  }

  MemorySegment segment() {
    return segment;
  }

  Backing backing() {
    return backing;
  }

  /** How often a part of what was unplugged is still not free: the host's loss alone. */
  public long hostFailures() {
    return host.failures();
  }

  /** Bytes of the blocks that are plugged. */
  public long pluggedBytes() {
    return (long) pluggedBlocks << blockShift;
  }

  /**
   * How many of {@code count} blocks from {@code first} on are plugged.
   *
   * @throws IndexOutOfBoundsException if the region has no such blocks
   */
  public int countPlugged(int first, int count) {
    checkBlocks(first, count);
    int found = 0;
    int end = first + count;
    int next;
    for (int block = first; block < end; block = next) {
      next = Math.min(end, nextWord(block));
      found += Long.bitCount(plugged.getAcquire(block >> WORD_SHIFT) & mask(block, next));
    }
    return found;
  }

  /** Whether a range, which lies in the region, lies in plugged blocks. */
  boolean isPlugged(long offset, long length) {
    if (length == 0) {
      return true;
    }
    int end = (int) ((offset + length - 1) >>> blockShift) + 1;
    int next;
    for (int block = (int) (offset >>> blockShift); block < end; block = next) {
      next = Math.min(end, nextWord(block));
      if ((~plugged.getAcquire(block >> WORD_SHIFT) & mask(block, next)) != 0) {
        return false;
      }
    }
    return true;
  }

  /**
   * Plugs blocks, none of which is plugged.
   *
   * @throws dev.vireo.linux.LinuxException if the host has no memory for them; none is plugged
   */
  public void plug(int first, int count) {
    checkBlocks(first, count);
    host.plug((long) first << blockShift, (long) count << blockShift);
    mark(first, count, true);
  }

  /**
   * Unplugs blocks, all of which are plugged. What is in them is lost.
   *
   * @throws dev.vireo.linux.LinuxException if the host cannot take them; all are still plugged
   */
  public void unplug(int first, int count) {
    checkBlocks(first, count);
    mark(first, count, false); // First: what is begun from here on finds no memory there.
    try {
      host.unplug((long) first << blockShift, (long) count << blockShift);
    } catch (RuntimeException e) {
      mark(first, count, true);
      throw e;
    }
  }

  /**
   * Unplugs all blocks, a run of neighbours at a time.
   *
   * @throws dev.vireo.linux.LinuxException if the host cannot take some; those and the ones behind
   *     are still plugged
   */
  public void unplugAll() {
    int end;
    for (int block = 0; block < layout.blocks(); block = end) {
      boolean state = isBlockPlugged(block);
      end = block + 1;
      while (end < layout.blocks() && isBlockPlugged(end) == state) {
        end++;
      }
      if (state) {
        unplug(block, end - block);
      }
    }
  }

  private boolean isBlockPlugged(int block) {
    return (plugged.getAcquire(block >> WORD_SHIFT) & (1L << block)) != 0;
  }

  private void mark(int first, int count, boolean present) {
    int end = first + count;
    int next;
    for (int block = first; block < end; block = next) {
      next = Math.min(end, nextWord(block));
      int word = block >> WORD_SHIFT;
      long bits = plugged.get(word);
      long mask = mask(block, next);
      plugged.setRelease(word, present ? bits | mask : bits & ~mask);
    }
    int before = pluggedBlocks;
    pluggedBlocks = before + (present ? count : -count);
  }

  private void checkBlocks(int first, int count) {
    if (first < 0 || count < 0 || first > layout.blocks() - count) {
      throw new IndexOutOfBoundsException(count + " blocks from " + first + " of " + layout);
    }
  }

  private static int nextWord(int block) {
    return (block | (Long.SIZE - 1)) + 1;
  }

  /** The bits of blocks {@code from} to {@code to}, exclusive, which are in one word. */
  private static long mask(int from, int to) {
    return (-1L << from) & (-1L >>> -to);
  }
}
