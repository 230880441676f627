package dev.vireo.vmm.virtio.net;

import static java.time.Duration.ofMillis;
import static org.awaitility.Awaitility.await;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.backend.FakeTap;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.memory.GuestMemory;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.queue.GuestRing;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;

/** A guest with a network device, its driver, and the host's end of the interface. */
final class NetGuest implements AutoCloseable {
  static final byte[] MAC = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};
  static final int MTU = 1400;
  static final int RING_SIZE = 64;

  static final int RECEIVE = 0;
  static final int TRANSMIT = 1;

  /** A buffer each to receive into and to send from, 64 KiB apart; {@link #ACK} is out of reach. */
  static final long RECEIVE_BUFFERS = 0x2_0000;

  static final long TRANSMIT_BUFFERS = 0x9_0000;
  static final long COMMAND = 0xd_0000;
  static final long ACK = 0xd_1000;

  private static final long FIRST_RING = 0x1000;
  private static final long RING_BYTES = 0x8000;
  private static final long MORE_RINGS = GuestRing.HIGH_RAM;

  /** Stands still unless a test moves it. */
  final AtomicLong nanoTime = new AtomicLong();

  final List<FakeTap> taps = new ArrayList<>();
  final EventFd interrupt = EventFd.nonBlocking();
  final NetDevice device;
  final MmioTransport transport;
  final GuestDriver driver;
  final GuestMemory memory;
  final List<GuestRing> rings = new ArrayList<>();
  final List<EventFd> notifiers = new ArrayList<>();

  NetGuest() {
    this(1, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED);
  }

  NetGuest(int pairs, RateLimiter receiveLimiter, RateLimiter transmitLimiter) {
    List<Tap> queues = new ArrayList<>();
    for (int i = 0; i < pairs; i++) {
      taps.add(new FakeTap());
      queues.add(taps.getLast().tap());
    }
    device =
        new NetDevice("net0", MAC, MTU, receiveLimiter, transmitLimiter, queues, nanoTime::get);
    GuestRing first = new GuestRing(RING_SIZE);
    memory = first.memory();
    rings.add(first);
    rings.add(new GuestRing(memory, RING_SIZE, FIRST_RING + 0x7000));
    for (int i = 2; i < 2 * pairs + 1; i++) {
      rings.add(new GuestRing(memory, RING_SIZE, MORE_RINGS + (i - 2) * RING_BYTES));
    }
    for (int i = 0; i < rings.size(); i++) {
      notifiers.add(EventFd.blocking());
    }
    transport = new MmioTransport(MmioPlan.X86_64.slot(0), device, memory, interrupt, notifiers);
    driver = new GuestDriver(transport, first);
  }

  /** A live device that has negotiated {@code features}, with all its queues. */
  NetGuest initialize(long features) {
    driver.negotiate(features);
    for (int i = 0; i < rings.size(); i++) {
      rings.get(i).clear();
      driver.setUpQueue(i, rings.get(i).setup());
    }
    driver.ready();
    return this;
  }

  /** With all that it offers. */
  NetGuest initialize() {
    return initialize(device.features());
  }

  FakeTap tap() {
    return taps.getFirst();
  }

  GuestRing receive() {
    return rings.get(RECEIVE);
  }

  GuestRing transmit() {
    return rings.get(TRANSMIT);
  }

  void notifyOf(int queue) {
    notifiers.get(queue).signal();
  }

  long count(String counter) {
    return transport.inspect().counters().getOrDefault(counter, 0L);
  }

  static void until(Callable<Boolean> condition) {
    await().pollDelay(Duration.ZERO).pollInterval(ofMillis(1)).until(condition);
  }

  /** Gives the device a buffer of {@code length} bytes, the {@code index}th, to receive into. */
  void giveBuffer(int index, int length) {
    receive().descriptor(index, receiveBuffer(index), length, GuestRing.WRITE, 0).offer(index);
    notifyOf(RECEIVE);
  }

  static long receiveBuffer(int index) {
    return RECEIVE_BUFFERS + index * 0x1000L;
  }

  GuestRing.Used awaitUsed(int queue) {
    until(rings.get(queue)::hasUsed);
    return rings.get(queue).takeUsed();
  }

  byte[] bytes(long address, int length) {
    byte[] result = new byte[length];
    memory.read(address, result);
    return result;
  }

  /** Sends {@code headerAndFrame} from one buffer, and waits until it is returned. */
  GuestRing.Used send(byte[] headerAndFrame) {
    memory.write(TRANSMIT_BUFFERS, headerAndFrame);
    transmit().descriptor(0, TRANSMIT_BUFFERS, headerAndFrame.length, 0, 0).offer(0);
    notifyOf(TRANSMIT);
    return awaitUsed(TRANSMIT);
  }

  /** What the host gets next. */
  byte[] hostReceives() {
    return hostReceives(tap());
  }

  byte[] hostReceives(FakeTap tap) {
    List<byte[]> frame = new ArrayList<>();
    until(() -> {
      byte[] next = tap.poll();
      if (next != null) {
        frame.add(next);
      }
      return !frame.isEmpty();
    });
    return frame.getFirst();
  }

  /** A command on the control queue, the last one by this driver's features. */
  int command(int queue, int... bytes) {
    GuestRing ring = rings.get(queue);
    for (int i = 0; i < bytes.length; i++) {
      memory.putByte(COMMAND + i, (byte) bytes[i]);
    }
    memory.putByte(ACK, (byte) 0x77);
    ring.descriptor(0, COMMAND, bytes.length, GuestRing.NEXT, 1)
        .descriptor(1, ACK, 1, GuestRing.WRITE, 0)
        .offer(0);
    notifyOf(queue);
    awaitUsed(queue);
    return memory.getByte(ACK);
  }

  /**
   * A header that asks for nothing, and a frame of {@code length} bytes that {@code seed} tells.
   */
  static byte[] frame(int length, int seed) {
    ByteBuffer frame =
        ByteBuffer.allocate(Tap.HEADER_BYTES + length).order(ByteOrder.LITTLE_ENDIAN);
    frame.position(Tap.HEADER_BYTES);
    for (int i = 0; i < length; i++) {
      frame.put((byte) (seed + i + i / 251));
    }
    return frame.array();
  }

  @Override
  public void close() {
    transport.close();
    taps.forEach(FakeTap::close);
    notifiers.forEach(EventFd::close);
    interrupt.close();
  }
}
