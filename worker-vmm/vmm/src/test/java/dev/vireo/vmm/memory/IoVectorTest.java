package dev.vireo.vmm.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.vmm.memory.GuestMemory.Region;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;

class IoVectorTest {
  private final MemorySegment ram = Arena.ofAuto().allocate(0x10000, 4096);
  private final IoVector vector = new IoVector(new GuestMemory(List.of(new Region(0, ram))), 4);

  /** Entry {@code index} of the array, as a system call reads it. */
  private void assertEntry(int index, long address, long length) {
    MemorySegment entry = MemorySegment.ofAddress(vector.address() + 16L * index).reinterpret(16);
    assertEquals(address, entry.get(ValueLayout.JAVA_LONG, 0));
    assertEquals(length, entry.get(ValueLayout.JAVA_LONG, 8));
  }

  @Test
  void isAQueueOfRangesForAsLongAsOneLikes() {
    vector.add(0, 1);
    vector.add(0x1000, 2);
    for (int i = 3; i < 1000; i++) {
      assertEquals(2, vector.room());
      vector.add(0x10L * i, i);
      vector.skip(i - 2); // The first one, whole.
      assertEquals(2, vector.count());
      assertEquals(i + i - 1, vector.bytes());
      assertEquals(i - 1, vector.firstLength());
      assertEntry(1, ram.address() + 0x10L * i, i);
    }
  }

  @Test
  void keepsWhatIsLeftOfARangeWhenItMakesRoom() {
    for (int i = 0; i < 4; i++) {
      vector.add(0x1000L * i, 10);
    }
    vector.skip(15);
    vector.add(0x5000, 10);
    assertEquals(35, vector.bytes());
    assertEntry(0, ram.address() + 0x1005, 5);
    assertEntry(1, ram.address() + 0x2000, 10);
    assertEntry(3, ram.address() + 0x5000, 10);
    assertThrows(IndexOutOfBoundsException.class, () -> vector.add(0, 1));
  }

  @Test
  void takesMemoryOfOurOwnForATime() {
    MemorySegment own = Arena.ofAuto().allocate(100);
    vector.add(0x1000, 10);
    vector.add(own);
    assertEquals(2, vector.count());
    assertEquals(110, vector.bytes());
    assertEntry(1, own.address(), 100);
    vector.removeLast();
    assertEquals(1, vector.count());
    assertEquals(10, vector.bytes());
    vector.removeLast();
    assertThrows(IndexOutOfBoundsException.class, vector::removeLast);
  }

  @Test
  void isManyInOneArrayEachInItsTurn() {
    vector.begin(2, 2);
    vector.add(0x2000, 20);
    vector.add(0x3000, 30);
    assertThrows(IndexOutOfBoundsException.class, () -> vector.add(0, 1), "no room");
    vector.skip(25);
    int place = vector.place();
    assertEquals(3, place);
    vector.begin(0, 2);
    assertEquals(0, vector.count());
    assertEquals(2, vector.room());
    vector.add(0x1000, 10);
    assertEquals(10, vector.bytes());
    vector.resume(place, 1);
    assertEquals(25, vector.bytes());
    assertEquals(1, vector.count());
    assertEquals(25, vector.lengthBits());
    assertEntry(0, ram.address() + 0x3005, 25);
    vector.resume(0, 1);
    assertEntry(0, ram.address() + 0x1000, 10);
  }

  @Test
  void makesRoomWhereItIs() {
    vector.begin(1, 2);
    for (int i = 0; i < 10; i++) {
      vector.add(0x10L * i, 1);
      vector.skip(i == 0 ? 0 : 1);
      assertEntry(0, ram.address() + 0x10L * i, 1);
      assertTrue(vector.place() >= 1);
    }
  }
}
