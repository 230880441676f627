package dev.vireo.vmm.virtio.block;

import static dev.vireo.vmm.virtio.queue.GuestRing.INDIRECT;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.time.Duration.ofMillis;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.memory.Backing;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.memory.GuestMemory.Region;
import dev.vireo.vmm.memory.HotplugLayout;
import dev.vireo.vmm.memory.HotplugRegion;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A guest with a live disk of one or several queues, and its driver. */
final class DiskGuest implements AutoCloseable {
  static final int IN = 0;
  static final int OUT = 1;
  static final int FLUSH = 4;
  static final int DISCARD = 11;
  static final int WRITE_ZEROES = 13;

  static final int OK = 0;
  static final int IO_ERROR = 1;
  static final int UNSUPPORTED = 2;
  static final int NOT_WRITTEN = 0xaa;

  static final int RING_SIZE = 128;
  private static final long RING_BYTES = 0x8000;
  private static final long SLOTS = 0x4_0000;
  private static final long SLOT_BYTES = 0x1000;
  private static final int DATA = 0x200;
  static final int MAX_DATA = (int) SLOT_BYTES - DATA;
  private static final int STATUS = 0x10;
  private static final int BUFFERS = 3;

  /** Behind the rings of as many queues as there may be, in place of slots. */
  private static final long SHARED = 0x9_0000;

  private static final long SHARED_BYTES = 0x1000;

  final MmioTransport transport;
  final GuestDriver driver;

  /** Where memory is plugged and unplugged, two blocks of {@value #BLOCK_BYTES} bytes. */
  static final long PLUGGABLE = 0x1000_0000L;

  static final long BLOCK_BYTES = 0x1_0000;

  final HotplugRegion pluggable =
      new HotplugRegion(
          new HotplugLayout(PLUGGABLE, 2 * BLOCK_BYTES, BLOCK_BYTES),
          Arena.ofAuto().allocate(2 * BLOCK_BYTES, 4096),
          Backing.ANONYMOUS,
          new Host());
  final GuestMemory memory =
      new GuestMemory(List.of(new Region(0, Arena.ofAuto().allocate(RAM_END, 4096))), pluggable);
  private final EventFd interrupt = EventFd.nonBlocking();
  private final List<EventFd> notifiers = new ArrayList<>();
  private final List<GuestRing> rings = new ArrayList<>();
  private final BlockDevice device;

  /** Memory stays where it is, plugged or not. */
  private static final class Host implements HotplugRegion.Host {
    @Override
    public void plug(long offset, long bytes) {}

    @Override
    public void unplug(long offset, long bytes) {}

    @Override
    public long failures() {
      return 0;
    }
  }

  DiskGuest(BlockDevice device) {
    this.device = device;
    for (int i = 0; i < device.queueSizes().size(); i++) {
      notifiers.add(EventFd.blocking());
      rings.add(new GuestRing(memory, RING_SIZE, 0x1000 + i * RING_BYTES));
    }
    transport = new MmioTransport(MmioPlan.X86_64.slot(0), device, memory, interrupt, notifiers);
    driver = new GuestDriver(transport, rings.getFirst());
    initialize(device.features());
  }

  /** From reset to a live device of as many queues as it has. */
  void initialize(long features) {
    driver.negotiate(features);
    for (int i = 0; i < rings.size(); i++) {
      rings.get(i).clear();
      driver.setUpQueue(i, rings.get(i).setup());
    }
    driver.ready();
  }

  /** The same, with the first queue's rings in the first pluggable block, which is plugged. */
  void initializeInPluggable() {
    pluggable.plug(0, 1);
    rings.set(0, new GuestRing(memory, RING_SIZE, PLUGGABLE + 0x1000));
    initialize(device.features());
  }

  /** Sets a queue up that was reset alone: both its rings begin anew, and it reads a sector. */
  void assertServesAnew(int queue) {
    GuestRing ring = rings.get(queue).clear();
    driver.setUpQueue(queue, ring.setup());
    submit(queue, 0, IN, 0, new byte[0], 512);
    assertEquals(0, awaitUsed(queue));
    assertEquals(OK, status(queue, 0));
    assertEquals(1, ring.usedIndex());
    assertEquals(0, driver.status() & DeviceStatus.NEEDS_RESET);
  }

  GuestRing ring(int queue) {
    return rings.get(queue);
  }

  long config(int offset, int width) {
    return transport.read(Register.CONFIG + offset, width);
  }

  long count(String counter) {
    return transport.inspect().counters().getOrDefault(counter, 0L);
  }

  /** Puts a request into a slot and the slot's chain into a ring, and does not wait for it. */
  void submit(int queue, int slot, int type, long sector, byte[] readable, int writable) {
    long at = slot(queue, slot);
    memory.putInt(at, type);
    memory.putInt(at + 4, 0);
    memory.putLong(at + 8, sector);
    memory.putByte(at + STATUS, (byte) NOT_WRITTEN);
    memory.write(at + DATA, readable);
    submit(queue, slot, readable.length, writable, at + STATUS);
  }

  /** Reads a sector, with the status in the second pluggable block, which must be plugged. */
  void submitReadWithStatusInPluggable() {
    memory.write(slot(0, 0), new byte[DATA]); // type IN, sector 0
    submit(0, 0, 0, 512, PLUGGABLE + BLOCK_BYTES);
  }

  /**
   * Offers as many reads of the first sector as the ring has room for, each by an indirect table of
   * so many buffers: a header, the sector in pieces, and a status. A queue's requests share them.
   */
  void submitIndirectReads(int queue, int buffers) {
    long header = SHARED + queue * SHARED_BYTES;
    long data = header + 0x20;
    long table = data + 512;
    int pieces = buffers - 2;
    memory.write(header, new byte[0x20]); // type IN, sector 0
    GuestRing ring = rings.get(queue);
    ring.descriptor(table, 0, header, 16, NEXT, 1);
    for (int i = 0; i < pieces; i++) {
      int length = i < pieces - 1 ? 4 : 512 - 4 * i;
      ring.descriptor(table, 1 + i, data + 4L * i, length, NEXT | WRITE, 2 + i);
    }
    ring.descriptor(table, 1 + pieces, header + STATUS, 1, WRITE, 0);
    for (int head = 0; head < RING_SIZE; head++) {
      ring.descriptor(head, table, 16L * buffers, INDIRECT, 0).offer(head);
    }
    notifiers.get(queue).signal();
  }

  /** Waits for all of them, and checks that they did what they should. */
  void awaitIndirectReads(int queue, byte[] sector) {
    GuestRing ring = rings.get(queue);
    for (int i = 0; i < RING_SIZE; i++) {
      if (!ring.hasUsed()) {
        await().pollDelay(Duration.ZERO).pollInterval(ofMillis(1)).until(ring::hasUsed);
      }
      assertEquals(513, ring.takeUsed().written());
    }
    byte[] bytes = new byte[512];
    memory.read(SHARED + queue * SHARED_BYTES + 0x20, bytes);
    assertArrayEquals(sector, bytes);
  }

  private void submit(int queue, int slot, int readable, int writable, long status) {
    long at = slot(queue, slot);
    int length = Math.max(readable, writable);
    int head = slot * BUFFERS;
    GuestRing ring = rings.get(queue);
    ring.descriptor(head, at, 16, NEXT, length == 0 ? head + 2 : head + 1)
        .descriptor(head + 1, at + DATA, length, writable == 0 ? NEXT : NEXT | WRITE, head + 2)
        .descriptor(head + 2, status, 1, WRITE, 0)
        .offer(head);
    notifiers.get(queue).signal();
  }

  /** The slot of the next request that is done. */
  int awaitUsed(int queue) {
    GuestRing ring = rings.get(queue);
    await().pollDelay(Duration.ZERO).pollInterval(ofMillis(1)).until(ring::hasUsed);
    return ring.takeUsed().head() / BUFFERS;
  }

  int status(int queue, int slot) {
    return Byte.toUnsignedInt(memory.getByte(slot(queue, slot) + STATUS));
  }

  byte[] data(int queue, int slot, int length) {
    byte[] bytes = new byte[length];
    memory.read(slot(queue, slot) + DATA, bytes);
    return bytes;
  }

  private static long slot(int queue, int slot) {
    return SLOTS + queue * 0x3_0000L + slot * SLOT_BYTES;
  }

  /** A request on the first queue, waited for; its status. */
  int request(int type, long sector, byte[] readable, int writable) {
    submit(0, 0, type, sector, readable, writable);
    awaitUsed(0);
    return status(0, 0);
  }

  int write(long sector, byte[] data) {
    return request(OUT, sector, data, 0);
  }

  int read(long sector, int length) {
    return request(IN, sector, new byte[0], length);
  }

  /** Some ranges as a request names them (5.2.6). */
  static byte[] ranges(Range... all) {
    ByteBuffer bytes = ByteBuffer.allocate(16 * all.length).order(ByteOrder.LITTLE_ENDIAN);
    for (Range range : all) {
      bytes.putLong(range.sector()).putInt((int) range.sectors()).putInt(range.flags());
    }
    return bytes.array();
  }

  record Range(long sector, long sectors, int flags) {}

  void notifyOf(int queue) {
    notifiers.get(queue).signal();
  }

  @Override
  public void close() {
    transport.close();
    notifiers.forEach(EventFd::close);
    interrupt.close();
  }

  BlockDevice device() {
    return device;
  }
}
