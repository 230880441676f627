package dev.vireo.fuzz;

import dev.vireo.vmm.memory.Backing;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import dev.vireo.vmm.virtio.queue.QueueSetup;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The memory of a small guest: 128 KiB from 0, a hole, 64 KiB from 4 GiB, and above it 64 KiB of
 * which blocks can be plugged; where its driver puts rings, tables and buffers; and around all of
 * them, memory of the host's that nothing may touch.
 */
final class GuestLayout {
  static final long LOW_BYTES = 0x2_0000;
  static final long HIGH = 1L << 32;
  static final long HIGH_BYTES = 0x1_0000;
  static final HotplugLayout PLUGGABLE = new HotplugLayout(HIGH + 0x10_0000, 0x1_0000, 0x1000);

  /** Each queue has its rings here: descriptor table, available ring, used ring. */
  static final long RINGS = 0x1000;

  static final long RING_BYTES = 0x2000;
  static final long AVAILABLE = 0x1000;
  static final long USED = 0x1400;

  /** Larger rings than that would overlap. */
  static final int MAX_QUEUE_SIZE = 256;

  static final long INDIRECT_TABLE = 0x1_0000;

  /** Below it, what a device writes may change what the driver has offered. */
  static final long BUFFERS = 0x1_2000;

  static final long HEADERS = BUFFERS;
  static final long STATUS = 0x1_3000;
  static final long DATA = 0x1_4000;

  private static final long GUARD_BYTES = 0x4000;
  private static final byte GUARD = (byte) 0xa5;

  private final MemorySegment host =
      Arena.ofAuto().allocate(4 * GUARD_BYTES + LOW_BYTES + HIGH_BYTES + PLUGGABLE.bytes(), 4096);
  private final MemorySegment low = host.asSlice(GUARD_BYTES, LOW_BYTES);
  private final MemorySegment high = host.asSlice(2 * GUARD_BYTES + LOW_BYTES, HIGH_BYTES);
  private final MemorySegment pluggable =
      host.asSlice(3 * GUARD_BYTES + LOW_BYTES + HIGH_BYTES, PLUGGABLE.bytes());
  private final List<MemorySegment> guards =
      List.of(
          host.asSlice(0, GUARD_BYTES),
          host.asSlice(GUARD_BYTES + LOW_BYTES, GUARD_BYTES),
          host.asSlice(2 * GUARD_BYTES + LOW_BYTES + HIGH_BYTES, GUARD_BYTES),
          host.asSlice(host.byteSize() - GUARD_BYTES));
  private final MemorySegment intact = Arena.ofAuto().allocate(GUARD_BYTES, 4096).fill(GUARD);
  private final HotplugRegion region;
  private final GuestMemory memory;

  /**
   * @param blocks where the memory that is plugged comes from
   */
  GuestLayout(HotplugRegion.Host blocks) {
    region = new HotplugRegion(PLUGGABLE, pluggable, Backing.ANONYMOUS, blocks);
    memory = new GuestMemory(List.of(new Region(0, low), new Region(HIGH, high)), region);
    guards.forEach(guard -> guard.fill(GUARD));
  }

  GuestMemory memory() {
    return memory;
  }

  /** And nothing is plugged. */
  void zero() {
    region.unplugAll();
    low.fill((byte) 0);
    high.fill((byte) 0);
    pluggable.fill((byte) 0);
  }

  /** As a driver does before it sets its queues up. */
  void zeroRings() {
    low.asSlice(0, BUFFERS).fill((byte) 0);
  }

  /** As it does before it sets one of them up again. */
  void zeroRing(int queue) {
    low.asSlice(ring(queue), RING_BYTES).fill((byte) 0);
  }

  byte[] copy() {
    byte[] bytes = new byte[(int) (LOW_BYTES + HIGH_BYTES + PLUGGABLE.bytes())];
    MemorySegment copy = MemorySegment.ofArray(bytes);
    copy.copyFrom(low);
    copy.asSlice(LOW_BYTES).copyFrom(high);
    copy.asSlice(LOW_BYTES + HIGH_BYTES).copyFrom(pluggable);
    return bytes;
  }

  /** Whether all of guest memory is as it was when {@code copy} was made. */
  boolean equalTo(byte[] copy) {
    MemorySegment then = MemorySegment.ofArray(copy);
    return low.mismatch(then.asSlice(0, LOW_BYTES)) == -1
        && high.mismatch(then.asSlice(LOW_BYTES, HIGH_BYTES)) == -1
        && pluggable.mismatch(then.asSlice(LOW_BYTES + HIGH_BYTES)) == -1;
  }

  /** Whether nobody wrote beside guest memory. */
  boolean guardsAreIntact() {
    for (MemorySegment guard : guards) {
      if (guard.mismatch(intact) != -1) {
        return false;
      }
    }
    return true;
  }

  static QueueSetup queue(int index, int size) {
    long at = ring(index);
    return new QueueSetup(size, at, at + AVAILABLE, at + USED);
  }

  static long ring(int queue) {
    return RINGS + queue * RING_BYTES;
  }
}
