package dev.vireo.vmm.memory;

import dev.vireo.linux.MemoryMapping;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The RAM of a guest, by guest physical address. Every access is checked here: a range is legal if
 * it lies wholly inside one region, its end included, and, where memory is plugged while the guest
 * runs, in blocks that are plugged; it is refused with {@link GuestMemoryException} otherwise.
 * Addresses and lengths may come straight from the guest; no value of either can reach other memory
 * of this process.
 *
 * <p>Values are little-endian. Getters and putters allocate nothing. The guest changes memory at
 * any time, so two reads of one place may differ: read once, check, then use what was read.
 */
public final class GuestMemory {
  /** Bytes of a page, in which memory is given back to the host. */
  public static final long PAGE_BYTES = 4096;

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle ORDERED_SHORT =
      ValueLayout.JAVA_SHORT
          .withOrder(ByteOrder.LITTLE_ENDIAN)
          .varHandle()
          .withInvokeExactBehavior();

  /**
   * A contiguous piece of RAM.
   *
   * @param base guest physical address of its first byte
   * @param segment the host memory behind it, page-aligned
   * @param backing what that is
   */
  public record Region(long base, MemorySegment segment, Backing backing) {
    /** Of private memory. */
    public Region(long base, MemorySegment segment) {
      this(base, segment, Backing.ANONYMOUS);
    }

    /** The guest physical address after its last byte. */
    public long end() {
      return base + segment.byteSize();
    }
  }

  private final List<Region> regions;
  // The same once more, flat: a lookup is part of every access.
  private final long[] bases;
  private final long[] sizes;
  private final MemorySegment[] segments;
  private final Backing[] backings;
  private final @Nullable HotplugRegion hotplug;

  /** Of memory that is there from the beginning. */
  public GuestMemory(List<Region> regions) {
    this(regions, null);
  }

  /**
   * @param hotplug above all regions
   * @throws IllegalArgumentException if regions overlap, or one is empty or beyond 2^63
   */
  public GuestMemory(List<Region> regions, @Nullable HotplugRegion hotplug) {
    Region[] ascending = regions.toArray(new Region[0]);
    // No lambdas or streams: this is on the way to every guest's first instruction.
    Arrays.sort(
        ascending,
        new Comparator<>() {
          @Override
          public int compare(Region left, Region right) {
            return Long.compare(left.base(), right.base());
          }
        });
    this.regions = List.of(ascending);
    this.hotplug = hotplug;
    int all = ascending.length + (hotplug == null ? 0 : 1);
    this.bases = new long[all];
    this.sizes = new long[all];
    this.segments = new MemorySegment[all];
    this.backings = new Backing[all];
    long previousEnd = 0;
    for (int i = 0; i < ascending.length; i++) {
      Region region = ascending[i];
      if (region.base() < previousEnd || region.end() <= region.base()) {
        throw new IllegalArgumentException("overlapping or illegal region: " + region);
      }
      previousEnd = region.end();
      bases[i] = region.base();
      sizes[i] = region.segment().byteSize();
      segments[i] = region.segment();
      backings[i] = region.backing();
    }
    if (hotplug != null) {
      if (hotplug.layout().base() < previousEnd) {
        throw new IllegalArgumentException("not above the regions: " + hotplug.layout());
      }
      bases[ascending.length] = hotplug.layout().base();
      sizes[ascending.length] = hotplug.layout().bytes();
      segments[ascending.length] = hotplug.segment();
      backings[ascending.length] = hotplug.backing();
    }
  }

  /** Those that are there from the beginning to the end, in ascending order, with no overlap. */
  public List<Region> regions() {
    return regions;
  }

  /** Where memory is plugged while the guest runs, if that can be. */
  public Optional<HotplugRegion> hotplug() {
    return Optional.ofNullable(hotplug);
  }

  /** Bytes of all {@link #regions}. */
  public long size() {
    long sum = 0;
    for (int i = 0; i < regions.size(); i++) {
      sum += sizes[i];
    }
    return sum;
  }

  /**
   * Whether the range lies in one region. An empty range does if its address is in a region or just
   * after its end.
   */
  public boolean contains(long address, long length) {
    return find(address, length) >= 0;
  }

  public byte getByte(long address) {
    int region = region(address, 1);
    return segments[region].get(ValueLayout.JAVA_BYTE, address - bases[region]);
  }

  public short getShort(long address) {
    int region = region(address, 2);
    return segments[region].get(SHORT, address - bases[region]);
  }

  public int getInt(long address) {
    int region = region(address, 4);
    return segments[region].get(INT, address - bases[region]);
  }

  public long getLong(long address) {
    int region = region(address, 8);
    return segments[region].get(LONG, address - bases[region]);
  }

  public void putByte(long address, byte value) {
    int region = region(address, 1);
    segments[region].set(ValueLayout.JAVA_BYTE, address - bases[region], value);
  }

  public void putShort(long address, short value) {
    int region = region(address, 2);
    segments[region].set(SHORT, address - bases[region], value);
  }

  public void putInt(long address, int value) {
    int region = region(address, 4);
    segments[region].set(INT, address - bases[region], value);
  }

  public void putLong(long address, long value) {
    int region = region(address, 8);
    segments[region].set(LONG, address - bases[region], value);
  }

  /**
   * Reads an index that the guest publishes with release: what it wrote before is visible after.
   * Needs alignment 2.
   */
  public short getShortAcquire(long address) {
    int region = alignedRegion(address);
    return (short) ORDERED_SHORT.getAcquire(segments[region], address - bases[region]);
  }

  /**
   * Publishes an index: who reads it with acquire sees everything written before. Needs alignment
   * 2.
   */
  public void putShortRelease(long address, short value) {
    int region = alignedRegion(address);
    ORDERED_SHORT.setRelease(segments[region], address - bases[region], value);
  }

  /** Copies guest memory into {@code target}, all of it. */
  public void read(long address, byte[] target) {
    int region = region(address, target.length);
    // Between segments: from or to an array it would make a class at run time, the first time.
    MemorySegment.copy(
        segments[region], address - bases[region], MemorySegment.ofArray(target), 0, target.length);
  }

  /** Copies {@code length} bytes of guest memory to {@code offset} in {@code target}. */
  public void read(long address, long length, MemorySegment target, long offset) {
    int region = region(address, length);
    MemorySegment.copy(segments[region], address - bases[region], target, offset, length);
  }

  /** Copies all of {@code source} into guest memory. */
  public void write(long address, byte[] source) {
    int region = region(address, source.length);
    MemorySegment.copy(
        MemorySegment.ofArray(source), 0, segments[region], address - bases[region], source.length);
  }

  /** The range as memory of this process. */
  public MemorySegment slice(long address, long length) {
    int region = region(address, length);
    return segments[region].asSlice(address - bases[region], length);
  }

  /**
   * The address in this process of the range's first byte, for a system call on exactly {@code
   * length} bytes. Only for memory that is native.
   */
  public long hostAddress(long address, long length) {
    int region = region(address, length);
    return segments[region].address() + (address - bases[region]);
  }

  /**
   * Gives the whole pages of a range back to the host. They read as zeroes from then on, and come
   * back one by one as they are touched. Only for memory that is native.
   *
   * @return the bytes given back: those of an unfinished page at either end stay, and huge pages
   * @throws GuestMemoryException if the range is not wholly in guest memory
   * @throws dev.vireo.linux.LinuxException if the host's kernel refuses
   */
  public long discard(long address, long length) {
    int region = region(address, length);
    long offset = address - bases[region];
    long first = (offset + PAGE_BYTES - 1) & -PAGE_BYTES;
    long bytes = ((offset + length) & -PAGE_BYTES) - first;
    if (bytes <= 0 || backings[region] == Backing.HUGE_PAGES) {
      return 0;
    }
    MemoryMapping.advise(
        segments[region].address() + first,
        bytes,
        backings[region] == Backing.SHARED
            ? MemoryMapping.MADV_REMOVE
            : MemoryMapping.MADV_DONTNEED);
    return bytes;
  }

  private int region(long address, long length) {
    int region = find(address, length);
    if (region < 0) {
      throw new GuestMemoryException("not in guest memory", address, length);
    }
    return region;
  }

  private int alignedRegion(long address) {
    if ((address & 1) != 0) {
      throw new GuestMemoryException("not aligned", address, 2);
    }
    return region(address, 2);
  }

  /**
   * The region's index, or −1. A negative address or length is one beyond 2^63, where no region is.
   */
  private int find(long address, long length) {
    if (length < 0) {
      return -1;
    }
    for (int i = 0; i < bases.length; i++) {
      // Nothing here can overflow: address >= base >= 0, size >= 0, length >= 0.
      if (address >= bases[i] && address - bases[i] <= sizes[i] - length) {
        return isThere(i, address - bases[i], length) ? i : -1;
      }
    }
    return -1;
  }

  /** Only the last can be a region of which parts are missing. */
  private boolean isThere(int region, long offset, long length) {
    return hotplug == null || region < bases.length - 1 || hotplug.isPlugged(offset, length);
  }
}
