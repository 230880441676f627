package dev.vireo.vmm.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Errno;
import dev.vireo.linux.LinuxException;
import dev.vireo.vmm.memory.GuestMemory.Region;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** 200 blocks of a page, of which a bitmap's words hold 64 each. */
class HotplugRegionTest {
  private static final long BASE = 0x10_0000;
  private static final long BLOCK = 4096;
  private static final int BLOCKS = 200;
  private static final long END = BASE + BLOCKS * BLOCK;

  private final MemorySegment segment = Arena.ofAuto().allocate(BLOCKS * BLOCK, 4096);
  private final Host host = new Host();
  private final HotplugRegion region =
      new HotplugRegion(
          new HotplugLayout(BASE, BLOCKS * BLOCK, BLOCK), segment, Backing.ANONYMOUS, host);
  private final GuestMemory memory =
      new GuestMemory(List.of(new Region(0, Arena.ofAuto().allocate(0x1000, 4096))), region);

  /** Says what it was asked for, and refuses if it is told to. */
  private static final class Host implements HotplugRegion.Host {
    private final List<String> asked = new ArrayList<>();
    private boolean refuses;

    @Override
    public void plug(long offset, long bytes) {
      ask("+" + offset / BLOCK + "," + bytes / BLOCK);
    }

    @Override
    public void unplug(long offset, long bytes) {
      ask("-" + offset / BLOCK + "," + bytes / BLOCK);
    }

    private void ask(String what) {
      asked.add(what);
      if (refuses) {
        throw new LinuxException("no", Errno.ENOMEM);
      }
    }

    @Override
    public long failures() {
      return 0;
    }
  }

  private long address(int block) {
    return BASE + block * BLOCK;
  }

  @Test
  void nothingIsThereAtFirst() {
    assertEquals(0, region.pluggedBytes());
    assertEquals(0, region.countPlugged(0, BLOCKS));
    assertFalse(memory.contains(BASE, 1));
    assertThrows(GuestMemoryException.class, () -> memory.putByte(BASE, (byte) 1));
    assertEquals(0x1000, memory.size());
    assertEquals(1, memory.regions().size());
  }

  @ParameterizedTest
  @CsvSource({
    "0, 1", "0, 64", "63, 2", "1, 63", "64, 64", "10, 150", "128, 72", "199, 1", "0, 200"
  })
  void exactlyTheBlocksThatArePluggedCanBeUsed(int first, int count) {
    region.plug(first, count);
    assertEquals(count * BLOCK, region.pluggedBytes());
    assertEquals(count, region.countPlugged(0, BLOCKS));
    for (int block = 0; block < BLOCKS; block++) {
      boolean plugged = block >= first && block < first + count;
      assertEquals(plugged, memory.contains(address(block), BLOCK), "block " + block);
      assertEquals(plugged ? 1 : 0, region.countPlugged(block, 1));
    }
    long start = address(first);
    long bytes = count * BLOCK;
    assertTrue(memory.contains(start, bytes));
    assertFalse(memory.contains(start - 1, bytes));
    assertFalse(memory.contains(start, bytes + 1));
    memory.putInt(start + bytes - 4, 0x1234_5678);
    assertEquals(0x1234_5678, memory.getInt(start + bytes - 4));
    assertThrows(GuestMemoryException.class, () -> memory.getInt(start + bytes - 3));
    region.unplug(first, count);
    assertFalse(memory.contains(start, 1));
    assertEquals(0, region.pluggedBytes());
  }

  @Test
  void aRangeWithAHoleInItIsRefused() {
    region.plug(0, BLOCKS);
    assertTrue(memory.contains(BASE, END - BASE));
    region.unplug(100, 1);
    assertFalse(memory.contains(BASE, END - BASE));
    assertFalse(memory.contains(address(99), BLOCK + 1));
    assertTrue(memory.contains(BASE, 100 * BLOCK));
    assertTrue(memory.contains(address(101), 99 * BLOCK));
    assertThrows(GuestMemoryException.class, () -> memory.slice(address(99), BLOCK + 1));
    assertThrows(GuestMemoryException.class, () -> memory.hostAddress(address(100), 1));
    assertThrows(GuestMemoryException.class, () -> memory.discard(address(100), BLOCK));
  }

  @Test
  void addressesBeyondEverythingAreRefused() {
    region.plug(0, BLOCKS);
    assertFalse(memory.contains(END, 1));
    assertFalse(memory.contains(BASE, -1));
    assertFalse(memory.contains(Long.MIN_VALUE, 1));
    assertFalse(memory.contains(BASE, Long.MAX_VALUE));
  }

  @Test
  void whatTheHostHasNotIsNotPlugged() {
    host.refuses = true;
    assertThrows(LinuxException.class, () -> region.plug(3, 4));
    assertEquals(0, region.countPlugged(0, BLOCKS));
    assertEquals(0, region.pluggedBytes());
  }

  @Test
  void whatTheHostDoesNotTakeStaysPlugged() {
    region.plug(60, 10);
    host.refuses = true;
    assertThrows(LinuxException.class, () -> region.unplug(62, 4));
    assertEquals(10, region.countPlugged(60, 10));
    assertEquals(10 * BLOCK, region.pluggedBytes());
    assertThrows(LinuxException.class, region::unplugAll);
    assertEquals(10, region.countPlugged(60, 10));
  }

  @Test
  void allIsUnpluggedByRunsOfNeighbours() {
    region.plug(0, 3);
    region.plug(60, 10);
    region.plug(BLOCKS - 1, 1);
    host.asked.clear();
    region.unplugAll();
    assertEquals(List.of("-0,3", "-60,10", "-199,1"), host.asked);
    assertEquals(0, region.pluggedBytes());
    region.unplugAll();
    assertEquals(3, host.asked.size());
  }

  @Test
  void thereAreNoOtherBlocks() {
    assertThrows(IndexOutOfBoundsException.class, () -> region.plug(-1, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> region.plug(BLOCKS, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> region.unplug(1, BLOCKS));
    assertThrows(IndexOutOfBoundsException.class, () -> region.countPlugged(1, Integer.MAX_VALUE));
    assertThrows(IndexOutOfBoundsException.class, () -> region.countPlugged(1, -1));
  }

  @Test
  void itMustBeAboveAllOtherMemory() {
    Region beside = new Region(BASE + BLOCK, Arena.ofAuto().allocate(0x1000, 4096));
    assertThrows(IllegalArgumentException.class, () -> new GuestMemory(List.of(beside), region));
  }

  @ParameterizedTest
  @CsvSource({
    "0x100000, 0x3000, 0x3000",
    "0x100000, 0x3000, 0x2000",
    "0x101000, 0x4000, 0x2000",
    "0x100000, 0, 0x1000",
    "0x100000, 0x1000, 0x800",
    "0x100000, 0x1000, 0",
    "-0x1000, 0x1000, 0x1000",
    "0x7ffffffffffff000, 0x2000, 0x1000",
    "0, 0x200000000, 0x1000",
  })
  void blocksArePowersOfTwoThatDivideTheRegion(String base, String bytes, String blockBytes) {
    assertThrows(
        IllegalArgumentException.class,
        () -> new HotplugLayout(Long.decode(base), Long.decode(bytes), Long.decode(blockBytes)));
  }
}
