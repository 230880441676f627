package dev.vireo.vmm.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.vmm.memory.GuestMemory.Region;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Two regions with a hole between them: [0, 0x3000) and [0x1_0000, 0x1_2000). */
class GuestMemoryTest {
  private static final long LOW_END = 0x3000;
  private static final long HIGH = 0x1_0000;
  private static final long HIGH_END = 0x1_2000;

  private final MemorySegment low = Arena.ofAuto().allocate(LOW_END, 4096);
  private final MemorySegment high = Arena.ofAuto().allocate(HIGH_END - HIGH, 4096);
  private final GuestMemory memory =
      new GuestMemory(List.of(new Region(HIGH, high), new Region(0, low)));

  @Test
  void valuesAreLittleEndianInEitherRegion() {
    for (long address : new long[] {0x100, HIGH + 0x100}) {
      memory.putLong(address, 0x0807_0605_0403_0201L);
      assertEquals(1, memory.getByte(address));
      assertEquals(0x0201, memory.getShort(address));
      assertEquals(0x0403_0201, memory.getInt(address));
      assertEquals(0x0807_0605_0403_0201L, memory.getLong(address));
      assertEquals(0x0403, memory.getShortAcquire(address + 2));
      memory.putInt(address, -1);
      memory.putShort(address + 4, (short) -2);
      memory.putByte(address + 6, (byte) -3);
      memory.putShortRelease(address, (short) 0x1234);
      assertEquals(0x08fd_fffe_ffff_1234L, memory.getLong(address));
    }
    assertEquals(memory.getLong(0x100), low.get(java.lang.foreign.ValueLayout.JAVA_LONG, 0x100));
  }

  @Test
  void copiesWholeArrays() {
    byte[] bytes = {1, 2, 3, 4, 5};
    memory.write(HIGH_END - 5, bytes);
    byte[] back = new byte[5];
    memory.read(HIGH_END - 5, back);
    assertArrayEquals(bytes, back);
    assertArrayEquals(
        bytes, memory.slice(HIGH_END - 5, 5).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
  }

  @Test
  void hostAddressIsThatOfTheSegment() {
    assertEquals(low.address() + 0x123, memory.hostAddress(0x123, 1));
    assertEquals(high.address() + 0x123, memory.hostAddress(HIGH + 0x123, 1));
  }

  @Test
  void sizeLeavesTheHoleOut() {
    assertEquals(0x5000, memory.size());
    assertEquals(List.of(0L, HIGH), memory.regions().stream().map(Region::base).toList());
  }

  @ParameterizedTest
  @CsvSource({
    "0x0, 1",
    "0x0, 0x3000",
    "0x2fff, 1",
    "0x10000, 0x2000",
    "0x11ff8, 8",
  })
  void rangeUpToTheVeryEndIsLegal(String address, String length) {
    assertTrue(memory.contains(Long.decode(address), Long.decode(length)));
    assertEquals(
        Long.decode(length), memory.slice(Long.decode(address), Long.decode(length)).byteSize());
  }

  @ParameterizedTest
  @CsvSource({
    // one byte past the end of a region
    "0x2ff9, 8",
    "0x3000, 1",
    "0x12000, 1",
    // in the hole, across it, over all
    "0x8000, 4",
    "0x2ffe, 0xd004",
    "0x0, 0x12000",
    "0xfffc, 8",
    // address + length overflows 2^63 and 2^64
    "0x7ffffffffffffff8, 16",
    "0x2000, 0x7fffffffffffffff",
    "-8, 16",
    "-1, 1",
    "-0x8000000000000000, 1",
    // lengths beyond 2^63
    "0x0, -1",
    "0x2000, -0x1000",
    "0x0, -0x8000000000000000",
  })
  void rangeThatIsNotWhollyInOneRegionIsRefused(String addressText, String lengthText) {
    long address = Long.decode(addressText);
    long length = Long.decode(lengthText);
    assertFalse(memory.contains(address, length));
    assertThrows(GuestMemoryException.class, () -> memory.slice(address, length));
    assertThrows(GuestMemoryException.class, () -> memory.hostAddress(address, length));
  }

  @Test
  void emptyRangeIsLegalInARegionAndAtItsEnd() {
    assertTrue(memory.contains(0, 0));
    assertTrue(memory.contains(LOW_END, 0));
    assertFalse(memory.contains(LOW_END + 1, 0));
    assertFalse(memory.contains(-1, 0));
    memory.write(LOW_END, new byte[0]);
  }

  @ParameterizedTest
  @ValueSource(longs = {LOW_END, HIGH - 1, HIGH_END, -1, Long.MAX_VALUE, Long.MIN_VALUE})
  void everyAccessorRefusesAnAddressOutside(long address) {
    assertThrows(GuestMemoryException.class, () -> memory.getByte(address));
    assertThrows(GuestMemoryException.class, () -> memory.getShort(address));
    assertThrows(GuestMemoryException.class, () -> memory.getInt(address));
    assertThrows(GuestMemoryException.class, () -> memory.getLong(address));
    assertThrows(GuestMemoryException.class, () -> memory.getShortAcquire(address));
    assertThrows(GuestMemoryException.class, () -> memory.putByte(address, (byte) 1));
    assertThrows(GuestMemoryException.class, () -> memory.putShort(address, (short) 1));
    assertThrows(GuestMemoryException.class, () -> memory.putInt(address, 1));
    assertThrows(GuestMemoryException.class, () -> memory.putLong(address, 1));
    assertThrows(GuestMemoryException.class, () -> memory.putShortRelease(address, (short) 1));
    assertThrows(GuestMemoryException.class, () -> memory.read(address, new byte[1]));
    assertThrows(GuestMemoryException.class, () -> memory.write(address, new byte[1]));
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 4, 8})
  void accessorsRefuseAValueThatStraddlesTheEnd(int width) {
    for (int inside = 1; inside < width; inside++) {
      long address = LOW_END - inside;
      assertThrows(
          GuestMemoryException.class,
          () -> {
            switch (width) {
              case 2 -> memory.getShort(address);
              case 4 -> memory.getInt(address);
              default -> memory.getLong(address);
            }
          });
    }
  }

  @Test
  void unalignedValuesAreFineButIndicesMustBeAligned() {
    memory.putLong(0x101, 42);
    assertEquals(42, memory.getLong(0x101));
    assertThrows(GuestMemoryException.class, () -> memory.getShortAcquire(0x101));
    assertThrows(GuestMemoryException.class, () -> memory.putShortRelease(0x101, (short) 1));
  }

  @Test
  void adjacentRegionsAreStillTwo() {
    GuestMemory adjacent = new GuestMemory(List.of(new Region(0, low), new Region(LOW_END, high)));
    assertFalse(adjacent.contains(LOW_END - 4, 8));
    assertTrue(adjacent.contains(LOW_END, 8));
  }

  @Test
  void refusesRegionsThatOverlapOrAreEmpty() {
    assertThrows(
        IllegalArgumentException.class,
        () -> new GuestMemory(List.of(new Region(0, low), new Region(LOW_END - 1, high))));
    assertThrows(
        IllegalArgumentException.class,
        () -> new GuestMemory(List.of(new Region(0, low.asSlice(0, 0)))));
    assertThrows(
        IllegalArgumentException.class, () -> new GuestMemory(List.of(new Region(-4096, low))));
  }

  private static void fill(MemorySegment segment) {
    segment.fill((byte) 7);
  }

  @Test
  void pagesThatAreGivenBackReadAsZeroesAndNoOthers() {
    fill(low);
    assertEquals(0x1000, memory.discard(0x0fff, 0x2000));
    assertEquals(7, memory.getByte(0x0fff));
    assertEquals(0, memory.getByte(0x1000));
    assertEquals(0, memory.getByte(0x1fff));
    assertEquals(7, memory.getByte(0x2000));
    assertEquals(0, memory.discard(0x2001, 0xfff));
    assertEquals(0, memory.discard(0x2000, 0));
    assertEquals(7, memory.getByte(0x2fff));
  }

  @Test
  void nothingIsGivenBackOfARangeThatIsNotWhollyThere() {
    fill(low);
    assertThrows(GuestMemoryException.class, () -> memory.discard(0x2000, 0x1001));
    assertThrows(GuestMemoryException.class, () -> memory.discard(-0x1000, 0x2000));
    assertThrows(GuestMemoryException.class, () -> memory.discard(0, -1));
    assertEquals(7, memory.getByte(0));
    assertEquals(7, memory.getByte(0x2fff));
  }

  @Test
  void sharedMemoryIsGivenBackForAllWhoHaveIt() {
    try (Fd file = Fd.memory("guest", LOW_END);
        MemoryMapping ours = MemoryMapping.shared(file, 0, LOW_END);
        MemoryMapping theirs = MemoryMapping.shared(file, 0, LOW_END)) {
      fill(theirs.segment());
      GuestMemory shared = new GuestMemory(List.of(new Region(0, ours.segment(), Backing.SHARED)));
      assertEquals(0x1000, shared.discard(0x1000, 0x1000));
      assertEquals(0, theirs.segment().get(ValueLayout.JAVA_BYTE, 0x1000));
      assertEquals(7, theirs.segment().get(ValueLayout.JAVA_BYTE, 0x2000));
    }
  }

  @Test
  void hugePagesAreKept() {
    fill(low);
    GuestMemory huge = new GuestMemory(List.of(new Region(0, low, Backing.HUGE_PAGES)));
    assertEquals(0, huge.discard(0, LOW_END));
    assertEquals(7, huge.getByte(0x1000));
  }

  @Test
  void withoutRegionsThereIsNothing() {
    assertFalse(new GuestMemory(List.of()).contains(0, 0));
  }
}
