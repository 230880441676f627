package dev.vireo.vmm.virtio.net;

import static dev.vireo.vmm.virtio.net.NetGuest.ACK;
import static dev.vireo.vmm.virtio.net.NetGuest.COMMAND;
import static dev.vireo.vmm.virtio.net.NetGuest.MAC;
import static dev.vireo.vmm.virtio.net.NetGuest.MTU;
import static dev.vireo.vmm.virtio.net.NetGuest.RECEIVE;
import static dev.vireo.vmm.virtio.net.NetGuest.TRANSMIT;
import static dev.vireo.vmm.virtio.net.NetGuest.TRANSMIT_BUFFERS;
import static dev.vireo.vmm.virtio.net.NetGuest.frame;
import static dev.vireo.vmm.virtio.net.NetGuest.receiveBuffer;
import static dev.vireo.vmm.virtio.net.NetGuest.until;
import static dev.vireo.vmm.virtio.queue.GuestRing.INDIRECT;
import static dev.vireo.vmm.virtio.queue.GuestRing.NEXT;
import static dev.vireo.vmm.virtio.queue.GuestRing.RAM_END;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Errno;
import dev.vireo.vmm.backend.FakeTap;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.backend.TokenBucket;
import dev.vireo.vmm.virtio.DeviceStatus;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.mmio.Register;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
class NetDeviceTest {
  private static final int HEADER = Tap.HEADER_BYTES;

  private static final long SEGMENTS = NetFeature.GUEST_CSUM | NetFeature.GUEST_TSO4;

  private final List<NetGuest> guests = new ArrayList<>();

  private NetGuest guest() {
    return own(new NetGuest());
  }

  private NetGuest own(NetGuest guest) {
    guests.add(guest);
    return guest;
  }

  @AfterEach
  void close() {
    guests.forEach(NetGuest::close);
  }

  /** The frame as it arrives: with the header that the device finished. */
  private static byte[] received(byte[] sent, int buffers) {
    byte[] result = sent.clone();
    result[10] = (byte) buffers;
    return result;
  }

  private static void assertGoesOn(NetGuest guest) {
    byte[] frame = frame(60, 99);
    assertEquals(new GuestRing.Used(0, 0), guest.send(frame));
    assertArrayEquals(frame, guest.hostReceives());
  }

  @Nested
  class TheDevice {
    @Test
    void offersWhatATapCanDo() {
      NetGuest guest = guest();
      assertEquals(
          VirtioDevice.VERSION_1
              | VirtioDevice.RING_RESET
              | Virtqueue.EVENT_IDX
              | Virtqueue.INDIRECT_DESC
              | 0b111 // CSUM, GUEST_CSUM, CTRL_GUEST_OFFLOADS
              | 1 << 3 // MTU
              | 1 << 5 // MAC
              | 0b1111_1111 << 7 // GUEST and HOST: TSO4, TSO6, ECN, UFO
              | 0b111 << 15, // MRG_RXBUF, STATUS, CTRL_VQ
          guest.driver.deviceFeatures());
      NetGuest several = own(new NetGuest(2, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED));
      assertEquals(guest.driver.deviceFeatures() | 1 << 22, several.driver.deviceFeatures());
    }

    @Test
    void tellsItsAddressLinkPairsAndMtu() {
      NetGuest guest = own(new NetGuest(2, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED));
      for (int i = 0; i < MAC.length; i++) {
        assertEquals(MAC[i], (byte) guest.transport.read(Register.CONFIG + i, 1));
      }
      assertEquals(1, guest.transport.read(Register.CONFIG + 6, 2), "the link is up");
      assertEquals(2, guest.transport.read(Register.CONFIG + 8, 2));
      assertEquals(MTU, guest.transport.read(Register.CONFIG + 10, 2));
      assertEquals(0, guest.transport.read(Register.CONFIG + 12, 4), "beyond the end");
    }

    @ParameterizedTest
    @ValueSource(
        longs = {
          NetFeature.GUEST_TSO4,
          NetFeature.GUEST_TSO6,
          NetFeature.GUEST_UFO,
          NetFeature.GUEST_CSUM | NetFeature.GUEST_ECN,
          NetFeature.HOST_TSO4,
          NetFeature.HOST_TSO6,
          NetFeature.HOST_UFO,
          NetFeature.CSUM | NetFeature.HOST_ECN,
          NetFeature.MQ
        })
    void refusesFeaturesWithoutThoseTheyRequire(long features) {
      NetGuest guest = own(new NetGuest(2, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED));
      guest.driver.negotiate(features);
      assertFalse(DeviceStatus.has(guest.driver.status(), DeviceStatus.FEATURES_OK));
      assertEquals(1, guest.count("illegal.features_refused"));
    }

    @Test
    void tellsTheTapWhatTheDriverCanTake() {
      NetGuest guest = guest().initialize(0);
      assertEquals(0, guest.tap().offloads.get());
      guest.initialize(SEGMENTS | NetFeature.GUEST_ECN);
      assertEquals(
          Tap.OFFLOAD_CHECKSUM | Tap.OFFLOAD_TSO4 | Tap.OFFLOAD_TSO_ECN,
          guest.tap().offloads.get());
      guest.initialize();
      assertEquals(0x1f, guest.tap().offloads.get());
    }
  }

  @Nested
  class Inspection {
    @Test
    void tellsAddressAndInterface() {
      NetGuest guest = guest();
      assertEquals(
          Map.of("mac_address", "02:11:22:33:44:55", "tap", "fake0"), guest.device.attributes());
      guest.tap().delete();
      assertEquals("", guest.device.attributes().get("tap"));
    }

    /** The last that a worker asks of a microVM is what its devices have counted. */
    @Test
    void isPossibleAfterTheEnd() {
      NetGuest guest = guest().initialize();
      guest.send(frame(60, 0));
      guest.device.close();
      assertEquals("", guest.device.attributes().get("tap"));
      assertEquals(1, guest.count("tx_frames"));
    }
  }

  @Nested
  class Transmission {
    @ParameterizedTest
    @ValueSource(ints = {1, 14, 60, 1514, 65_535})
    void bringsFramesWithTheirHeadersToTheHost(int length) {
      NetGuest guest = guest().initialize();
      byte[] frame = frame(length, 3);
      Arrays.fill(frame, 0, HEADER, (byte) 0x5a); // The kernel's to judge.
      assertEquals(new GuestRing.Used(0, 0), guest.send(frame));
      assertArrayEquals(frame, guest.hostReceives());
      assertEquals(1, guest.count("tx_frames"));
      assertEquals(length, guest.count("tx_bytes"));
    }

    @Test
    void worksWhereverTheDriverCutsTheFrame() {
      NetGuest guest = guest().initialize();
      byte[] frame = frame(100, 7);
      guest.memory.write(TRANSMIT_BUFFERS, frame);
      guest
          .transmit()
          .descriptor(4, TRANSMIT_BUFFERS, 5, NEXT, 2)
          .descriptor(2, TRANSMIT_BUFFERS + 5, 8, NEXT, 9)
          .descriptor(9, TRANSMIT_BUFFERS + 13, 99, 0, 0)
          .offer(4);
      guest.notifyOf(TRANSMIT);
      assertEquals(4, guest.awaitUsed(TRANSMIT).head());
      assertArrayEquals(frame, guest.hostReceives());
    }

    @Test
    void worksThroughAnIndirectTable() {
      NetGuest guest = guest().initialize();
      byte[] frame = frame(100, 7);
      guest.memory.write(TRANSMIT_BUFFERS, frame);
      long table = TRANSMIT_BUFFERS + 0x1000;
      guest
          .transmit()
          .descriptor(table, 0, TRANSMIT_BUFFERS, HEADER, NEXT, 1)
          .descriptor(table, 1, TRANSMIT_BUFFERS + HEADER, 100, 0, 0)
          .descriptor(0, table, 32, INDIRECT, 0)
          .offer(0);
      guest.notifyOf(TRANSMIT);
      guest.awaitUsed(TRANSMIT);
      assertArrayEquals(frame, guest.hostReceives());
    }

    @Test
    void interruptsWithTheUsedBufferBit() {
      NetGuest guest = guest().initialize();
      guest.send(frame(60, 0));
      until(guest.interrupt::drain);
      assertEquals(1, guest.driver.takeInterrupt());
    }

    /**
     * What comes of a hostile frame: the chain is returned, the reason counted, the queue goes on.
     */
    private void assertRefused(NetGuest guest, String reason) {
      guest.transmit().offer(0);
      guest.notifyOf(TRANSMIT);
      assertEquals(new GuestRing.Used(0, 0), guest.awaitUsed(TRANSMIT));
      assertEquals(1, guest.count(reason));
      assertNull(guest.tap().poll());
      assertGoesOn(guest);
      assertEquals(0xf, guest.driver.status());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 11, 12})
    void ofAChainWithNothingAfterAHeaderIsRefused(int length) {
      NetGuest guest = guest().initialize();
      guest.transmit().descriptor(0, TRANSMIT_BUFFERS, length, 0, 0);
      assertRefused(guest, "errors_too_short");
    }

    @Test
    void ofAFrameLargerThanAnyIsRefused() {
      NetGuest guest = guest().initialize();
      guest.transmit().descriptor(0, TRANSMIT_BUFFERS, HEADER + 18 + 65_536, 0, 0);
      assertRefused(guest, "errors_too_long");
    }

    @Test
    void fromABufferToBeWrittenIsRefused() {
      NetGuest guest = guest().initialize();
      guest
          .transmit()
          .descriptor(0, TRANSMIT_BUFFERS, 72, NEXT, 1)
          .descriptor(1, TRANSMIT_BUFFERS + 72, 60, WRITE, 0);
      assertRefused(guest, "errors_direction");
    }

    @ParameterizedTest
    @CsvSource({"0xfffff, 64", "0x100000, 64", "0xd0000000, 64", "-1, 64", "0x90000, 0"})
    void fromOutsideMemoryIsRefused(String address, int length) {
      NetGuest guest = guest().initialize();
      guest
          .transmit()
          .descriptor(0, TRANSMIT_BUFFERS, HEADER, NEXT, 1)
          .descriptor(1, Long.decode(address), length, 0, 0);
      assertRefused(guest, "errors_descriptors");
    }

    @ParameterizedTest
    @CsvSource({
      "22, tx_refused", // EINVAL: a header that makes no sense
      "90, tx_refused", // EMSGSIZE
      "11, tx_dropped_by_host", // EAGAIN
      "12, tx_dropped_by_host", // ENOMEM
      "105, tx_dropped_by_host" // ENOBUFS
    })
    void thatTheKernelRefusesIsCounted(int errno, String reason) {
      NetGuest guest = guest().initialize();
      guest.tap().writeError.set(errno);
      assertEquals(new GuestRing.Used(0, 0), guest.send(frame(60, 0)));
      assertEquals(1, guest.count(reason));
      assertEquals(0, guest.count("tx_frames"));
      guest.tap().writeError.set(0);
      assertGoesOn(guest);
    }

    @Test
    void ofAnIllegalRingNeedsAReset() {
      NetGuest guest = guest().initialize();
      guest.transmit().offer(NetGuest.RING_SIZE);
      guest.notifyOf(TRANSMIT);
      until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      assertEquals(1, guest.count("illegal.ring"));
      guest.initialize();
      assertGoesOn(guest);
    }
  }

  @Nested
  class Reception {
    @ParameterizedTest
    @ValueSource(ints = {1, 14, 60, 1514, 4083, 4084})
    void bringsAFrameIntoABufferThatHoldsIt(int length) {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 4096);
      byte[] frame = frame(length, 1);
      guest.tap().send(frame);
      assertEquals(new GuestRing.Used(0, HEADER + length), guest.awaitUsed(RECEIVE));
      assertArrayEquals(received(frame, 1), guest.bytes(receiveBuffer(0), HEADER + length));
      assertEquals(1, guest.count("rx_frames"));
      assertEquals(length, guest.count("rx_bytes"));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, NetFeature.MRG_RXBUF, NetFeature.MRG_RXBUF | SEGMENTS})
    void bringsFramesInOrderWhateverWasNegotiated(long features) {
      NetGuest guest = guest().initialize(features);
      for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 5; i++) {
          guest.giveBuffer(i, 2048);
          guest.tap().send(frame(100 + i, i));
        }
        for (int i = 0; i < 5; i++) {
          assertEquals(new GuestRing.Used(i, HEADER + 100 + i), guest.awaitUsed(RECEIVE));
          assertArrayEquals(
              received(frame(100 + i, i), 1), guest.bytes(receiveBuffer(i), HEADER + 100 + i));
        }
      }
    }

    @Test
    void spreadsAFrameOverAsManyBuffersAsItNeeds() {
      NetGuest guest = guest().initialize();
      for (int i = 0; i < 4; i++) {
        guest.giveBuffer(i, 1000);
      }
      byte[] frame = frame(2500, 5);
      guest.tap().send(frame);
      assertEquals(new GuestRing.Used(0, 1000), guest.awaitUsed(RECEIVE));
      // "Together": whoever sees the first sees them all.
      assertEquals(3, guest.receive().usedIndex());
      assertEquals(new GuestRing.Used(1, 1000), guest.awaitUsed(RECEIVE));
      assertEquals(new GuestRing.Used(2, 512), guest.awaitUsed(RECEIVE));
      byte[] expected = received(frame, 3);
      assertArrayEquals(Arrays.copyOf(expected, 1000), guest.bytes(receiveBuffer(0), 1000));
      assertArrayEquals(
          Arrays.copyOfRange(expected, 1000, 2000), guest.bytes(receiveBuffer(1), 1000));
      assertArrayEquals(
          Arrays.copyOfRange(expected, 2000, 2512), guest.bytes(receiveBuffer(2), 512));

      guest.tap().send(frame(20, 9));
      assertEquals(new GuestRing.Used(3, 32), guest.awaitUsed(RECEIVE), "the fourth is left");
    }

    @Test
    void finishesTheHeaderWhereverTheDriverCutsTheBuffer() {
      NetGuest guest = guest().initialize();
      long buffer = receiveBuffer(0);
      guest
          .receive()
          .descriptor(0, buffer, 11, NEXT | WRITE, 1)
          .descriptor(1, buffer + 0x100, 1, NEXT | WRITE, 2)
          .descriptor(2, buffer + 0x200, 500, WRITE, 0)
          .offer(0);
      guest.giveBuffer(3, 4096);
      byte[] frame = frame(900, 2);
      guest.tap().send(frame);
      assertEquals(new GuestRing.Used(0, 512), guest.awaitUsed(RECEIVE));
      assertEquals(2, guest.memory.getByte(buffer + 10));
      assertEquals(0, guest.memory.getByte(buffer + 0x100));
      assertArrayEquals(Arrays.copyOfRange(frame, 12, 512), guest.bytes(buffer + 0x200, 500));
      assertArrayEquals(Arrays.copyOfRange(frame, 512, 912), guest.bytes(receiveBuffer(3), 400));
    }

    @Test
    void clearsTheFlagsForADriverThatChecksSums() {
      NetGuest guest = guest().initialize(NetFeature.MRG_RXBUF);
      byte[] frame = frame(60, 1);
      frame[0] = 2; // DATA_VALID
      guest.giveBuffer(0, 2048);
      guest.tap().send(frame);
      guest.awaitUsed(RECEIVE);
      assertEquals(0, guest.memory.getByte(receiveBuffer(0)));

      guest.initialize();
      guest.giveBuffer(0, 2048);
      guest.tap().send(frame);
      guest.awaitUsed(RECEIVE);
      assertEquals(2, guest.memory.getByte(receiveBuffer(0)));
    }

    @Test
    void waitsWithAFrameForTheBuffersThatItLacks() {
      NetGuest guest = guest().initialize();
      byte[] frame = frame(10_000, 6);
      guest.giveBuffer(0, 3000);
      guest.tap().send(frame);
      until(() -> guest.receive().availableEvent() == 1);
      for (int i = 1; i < 4; i++) {
        guest.giveBuffer(i, 3000);
      }
      byte[] expected = received(frame, 4);
      for (int i = 0; i < 4; i++) {
        int length = Math.min(3000, expected.length - i * 3000);
        assertEquals(new GuestRing.Used(i, length), guest.awaitUsed(RECEIVE));
        assertArrayEquals(
            Arrays.copyOfRange(expected, i * 3000, i * 3000 + length),
            guest.bytes(receiveBuffer(i), length));
      }
    }

    @Test
    void dropsAFrameWhoseBuffersDoNotComeAndBringsTheNext() {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 2000);
      guest.tap().send(frame(5000, 1));
      byte[] next = frame(100, 2);
      guest.tap().send(next);
      until(() -> guest.receive().availableEvent() == 1);
      assertFalse(guest.receive().hasUsed());
      guest.nanoTime.addAndGet(Receiver.BUFFERS_WITHIN_NANOS);
      assertEquals(new GuestRing.Used(0, 112), guest.awaitUsed(RECEIVE));
      assertArrayEquals(received(next, 1), guest.bytes(receiveBuffer(0), 112));
      assertEquals(1, guest.count("rx_dropped_no_buffers"));
    }

    @Test
    void dropsAFrameThatIsTooLongForADriverThatDoesNotMerge() {
      NetGuest guest = guest().initialize(SEGMENTS);
      guest.giveBuffer(0, 1526);
      guest.giveBuffer(1, 1526);
      guest.tap().send(frame(1515, 1));
      byte[] next = frame(1514, 2);
      guest.tap().send(next);
      assertEquals(new GuestRing.Used(0, 1526), guest.awaitUsed(RECEIVE));
      assertArrayEquals(received(next, 1), guest.bytes(receiveBuffer(0), 1526));
      assertEquals(1, guest.count("rx_dropped_too_long"));
    }

    @Test
    void goesOnAfterBothTapAndRingWereFull() {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 2048);
      int sent = 0;
      while (guest.tap().offer(frame(1000, sent))) {
        sent++;
      }
      guest.awaitUsed(RECEIVE);
      while (guest.tap().offer(frame(1000, sent))) {
        sent++;
      }
      assertTrue(sent > 10, "the tap is full, and the ring has no buffer");
      for (int i = 1; i < sent; i++) {
        guest.giveBuffer(0, 2048);
        guest.awaitUsed(RECEIVE);
        assertArrayEquals(
            received(frame(1000, i), 1), guest.bytes(receiveBuffer(0), HEADER + 1000));
      }
      guest.giveBuffer(0, 2048);
      guest.tap().send(frame(1000, 1));
      guest.awaitUsed(RECEIVE);
    }

    @ParameterizedTest
    @ValueSource(longs = {0, Virtqueue.EVENT_IDX})
    void asksForNotificationsOnlyWhenItLacksBuffers(long features) {
      NetGuest guest = guest().initialize(NetFeature.MRG_RXBUF | features);
      until(() -> guest.transport.inspect().queues().getFirst().notifications() > 0);
      guest.giveBuffer(0, 2048);
      guest.tap().send(frame(100, 1));
      guest.awaitUsed(RECEIVE);
      if (features == 0) {
        until(guest.receive()::notificationsWanted);
      } else {
        until(() -> guest.receive().availableEvent() == 1);
      }
    }

    @Test
    void interruptsWithTheUsedBufferBit() {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 2048);
      guest.tap().send(frame(100, 1));
      until(guest.interrupt::drain);
      assertEquals(1, guest.driver.takeInterrupt());
      assertEquals(1, guest.transport.inspect().queues().getFirst().interrupts());
    }

    @Test
    void doesNotInterruptADriverThatPolls() {
      NetGuest guest = guest().initialize(NetFeature.MRG_RXBUF);
      guest.receive().noInterrupt(true);
      guest.giveBuffer(0, 2048);
      guest.tap().send(frame(100, 1));
      guest.awaitUsed(RECEIVE);
      until(() -> guest.transport.inspect().queues().getFirst().interruptsSuppressed() == 1);
      assertFalse(guest.interrupt.drain());
    }

    /** A hostile buffer is returned unused and counted, and the next one serves. */
    private void assertReturned(NetGuest guest, String reason) {
      guest.receive().offer(0);
      guest.giveBuffer(5, 2048);
      assertEquals(new GuestRing.Used(0, 0), guest.awaitUsed(RECEIVE));
      byte[] frame = frame(100, 4);
      guest.tap().send(frame);
      assertEquals(new GuestRing.Used(5, 112), guest.awaitUsed(RECEIVE));
      assertArrayEquals(received(frame, 1), guest.bytes(receiveBuffer(5), 112));
      assertEquals(1, guest.count(reason));
      assertEquals(0xf, guest.driver.status());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 11})
    void intoABufferShorterThanAHeaderIsRefused(int length) {
      NetGuest guest = guest().initialize();
      guest.receive().descriptor(0, receiveBuffer(0), length, WRITE, 0);
      assertReturned(guest, "errors_too_short");
    }

    @Test
    void intoABufferToBeReadIsRefused() {
      NetGuest guest = guest().initialize();
      guest
          .receive()
          .descriptor(0, receiveBuffer(0), 100, NEXT, 1)
          .descriptor(1, receiveBuffer(1), 2000, WRITE, 0);
      assertReturned(guest, "errors_direction");
    }

    @Test
    void outsideMemoryIsRefused() {
      NetGuest guest = guest().initialize();
      guest.receive().descriptor(0, RAM_END - 100, 2000, WRITE, 0);
      assertReturned(guest, "errors_descriptors");
    }

    @Test
    void intoAHundredThousandTinyPiecesIsLimited() {
      // Each buffer a table of the most descriptors, each of one byte: more than readv takes.
      NetGuest guest = guest().initialize();
      int size = NetGuest.RING_SIZE;
      for (int i = 0; i < size; i++) {
        long table = TRANSMIT_BUFFERS + i * 16L * size;
        for (int j = 0; j < size; j++) {
          guest
              .receive()
              .descriptor(
                  table,
                  j,
                  receiveBuffer(0) + (long) i * size + j,
                  1,
                  j < size - 1 ? NEXT | WRITE : WRITE,
                  j + 1);
        }
        guest.receive().descriptor(i, table, 16L * size, INDIRECT, 0).offer(i);
      }
      guest.notifyOf(RECEIVE);
      byte[] frame = frame(100, 4);
      guest.tap().send(frame(4000, 3));
      guest.tap().send(frame);
      until(() -> guest.receive().availableEvent() > 0);
      guest.nanoTime.addAndGet(Receiver.BUFFERS_WITHIN_NANOS);
      assertEquals(new GuestRing.Used(0, 64), guest.awaitUsed(RECEIVE));
      assertEquals(new GuestRing.Used(1, 48), guest.awaitUsed(RECEIVE));
      assertArrayEquals(received(frame, 2), guest.bytes(receiveBuffer(0), 112));
      assertEquals(1, guest.count("rx_dropped_no_buffers"));
    }

    @Test
    void ofAnIllegalRingNeedsAReset() {
      NetGuest guest = guest().initialize();
      guest.receive().moveIndexTo(1000);
      guest.notifyOf(RECEIVE);
      until(() -> DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));
      assertEquals(1, guest.count("illegal.ring"));
    }
  }

  @Nested
  class TheLink {
    private static final int CONFIG_CHANGED = 2;

    private int status(NetGuest guest) {
      return (int) guest.transport.read(Register.CONFIG + 6, 2);
    }

    /** The interrupt has come, the generation moved on, and the status is to be read. */
    private void awaitLink(NetGuest guest, int generation, int expected) {
      until(() -> guest.driver.read(Register.CONFIG_GENERATION) > generation);
      until(
          () -> (guest.driver.read(Register.INTERRUPT_STATUS) & CONFIG_CHANGED) == CONFIG_CHANGED);
      guest.driver.takeInterrupt();
      assertEquals(expected, status(guest));
    }

    @Test
    void goesDownWithTheInterfaceAndComesBackWithIt() {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 2048);
      // Until the host reads, it is not writable: as an interface is that is not up.
      while (guest.count("tx_dropped_by_host") == 0) {
        guest.send(frame(60_000, 0));
      }
      int generation = guest.driver.read(Register.CONFIG_GENERATION);
      guest.tap().writeError.set(Errno.EIO);
      guest.send(frame(60, 0));
      awaitLink(guest, generation, 0);
      assertEquals(1, guest.count("link_down"));
      assertEquals(1, guest.count("tx_dropped_link_down"));

      guest.tap().writeError.set(0);
      while (guest.tap().poll() != null) {
        // All of it.
      }
      awaitLink(guest, generation + 1, 1);
      assertEquals(1, guest.count("link_up"));
      assertGoesOn(guest);
      guest.tap().send(frame(60, 5));
      guest.awaitUsed(RECEIVE);
    }

    /** As a driver may be that only sends. */
    @Test
    void comesBackWithAFrameThatGoesOutWhereNobodyReceives() {
      NetGuest guest = guest();
      guest.driver.negotiate(0);
      guest.driver.setUpQueue(TRANSMIT, guest.transmit().clear().setup());
      guest.driver.ready();
      guest.tap().writeError.set(Errno.EIO);
      guest.send(frame(60, 0));
      guest.send(frame(60, 0));
      assertEquals(1, guest.count("link_down"));
      assertEquals(2, guest.count("tx_dropped_link_down"));
      guest.tap().writeError.set(0);
      assertGoesOn(guest);
      assertEquals(1, guest.count("link_up"));
      assertEquals(2, guest.count("tx_dropped_link_down"));
    }

    @Test
    void isDownForGoodOnceTheInterfaceIsGone() {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 2048);
      int generation = guest.driver.read(Register.CONFIG_GENERATION);
      guest.tap().delete();
      awaitLink(guest, generation, 0);
      for (int i = 0; i < 5; i++) {
        assertEquals(new GuestRing.Used(0, 0), guest.send(frame(60, 0)));
      }
      assertEquals(5, guest.count("tx_dropped_link_down"));
      assertEquals(1, guest.count("link_down"));
      assertFalse(DeviceStatus.has(guest.driver.status(), DeviceStatus.NEEDS_RESET));

      guest.initialize();
      assertEquals(0, status(guest));
      assertEquals(0xf, guest.driver.status(), "a driver can start all the same");
    }

    @Test
    void isFoundDownByASenderToo() {
      NetGuest guest = guest().initialize(NetFeature.STATUS);
      int generation = guest.driver.read(Register.CONFIG_GENERATION);
      guest.tap().writeError.set(Errno.EBADFD);
      guest.send(frame(60, 0));
      awaitLink(guest, generation, 0);
    }

    @Test
    void isNothingToADriverThatDoesNotKnowOfIt() {
      NetGuest guest = guest().initialize(0);
      guest.tap().writeError.set(Errno.EBADFD);
      guest.send(frame(60, 0));
      until(() -> guest.count("link_down") == 1);
      guest.send(frame(60, 0));
      assertEquals(0, guest.driver.read(Register.INTERRUPT_STATUS) & CONFIG_CHANGED);
    }

    @Test
    void canBeToldOfWhileTheDeviceIsResetAndClosed() {
      for (int i = 0; i < 50; i++) {
        NetGuest guest = new NetGuest().initialize();
        guest.giveBuffer(0, 2048);
        guest.tap().delete();
        guest.driver.reset();
        guest.initialize();
        guest.close();
      }
    }
  }

  @Nested
  class Control {
    private static final int OK = 0;
    private static final int ERROR = 1;
    private static final int MQ = 4;
    private static final int GUEST_OFFLOADS = 5;

    private NetGuest several(int pairs) {
      return own(new NetGuest(pairs, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED));
    }

    @Test
    void switchesPairsOnAndOff() {
      NetGuest guest = several(3).initialize();
      assertEquals(List.of(true, false, false), attached(guest));
      assertEquals(OK, guest.command(6, MQ, 0, 3, 0));
      assertEquals(List.of(true, true, true), attached(guest));
      assertEquals(OK, guest.command(6, MQ, 0, 2, 0));
      assertEquals(List.of(true, true, false), attached(guest));
      assertEquals(2, guest.count("control_accepted"));
      guest.driver.reset();
      assertEquals(List.of(true, false, false), attached(guest));
    }

    private List<Boolean> attached(NetGuest guest) {
      return guest.taps.stream().map(FakeTap::attached).toList();
    }

    @Test
    void letsAPairServeOnceItIsOn() {
      NetGuest guest = several(2).initialize();
      byte[] frame = frame(60, 8);
      guest.memory.write(TRANSMIT_BUFFERS, frame);
      GuestRing transmit = guest.rings.get(3).descriptor(0, TRANSMIT_BUFFERS, frame.length, 0, 0);
      transmit.offer(0);
      guest.notifyOf(3);
      guest.awaitUsed(3);
      assertEquals(1, guest.count("tx_dropped_link_down"));

      assertEquals(OK, guest.command(4, MQ, 0, 2, 0));
      transmit.offer(0);
      guest.notifyOf(3);
      guest.awaitUsed(3);
      assertArrayEquals(frame, guest.hostReceives(guest.taps.get(1)));

      guest.rings.get(2).descriptor(0, receiveBuffer(0), 2048, WRITE, 0).offer(0);
      guest.notifyOf(2);
      guest.taps.get(1).send(frame);
      assertEquals(new GuestRing.Used(0, 72), guest.awaitUsed(2));

      assertEquals(OK, guest.command(4, MQ, 0, 1, 0));
      assertEquals(0, guest.count("link_down"));
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "3, 0", "0, 1", "2, 1", "255, 255"})
    void refusesPairsThatTheDeviceDoesNotHave(int low, int high) {
      NetGuest guest = several(2).initialize();
      assertEquals(ERROR, guest.command(4, MQ, 0, low, high));
      assertEquals(List.of(true, false), attached(guest));
      assertEquals(1, guest.count("control_refused"));
    }

    @Test
    void setsWhatReceivedFramesMayLeaveUndone() {
      NetGuest guest = guest().initialize();
      int checksum = 1 << 1;
      assertEquals(OK, guest.command(2, GUEST_OFFLOADS, 0, checksum, 0, 0, 0, 0, 0, 0, 0));
      assertEquals(Tap.OFFLOAD_CHECKSUM, guest.tap().offloads.get());
      int both = 1 << 1 | 1 << 7;
      assertEquals(OK, guest.command(2, GUEST_OFFLOADS, 0, both, 0, 0, 0, 0, 0, 0, 0));
      assertEquals(Tap.OFFLOAD_CHECKSUM | Tap.OFFLOAD_TSO4, guest.tap().offloads.get());
    }

    @Test
    void refusesToLeaveUndoneWhatWasNotNegotiated() {
      NetGuest guest =
          guest()
              .initialize(
                  NetFeature.GUEST_CSUM | NetFeature.CTRL_GUEST_OFFLOADS | NetFeature.CTRL_VQ);
      int both = 1 << 1 | 1 << 7;
      assertEquals(ERROR, guest.command(2, GUEST_OFFLOADS, 0, both, 0, 0, 0, 0, 0, 0, 0));
      int notOfTheGuest = 1 << 0;
      assertEquals(ERROR, guest.command(2, GUEST_OFFLOADS, 0, notOfTheGuest, 0, 0, 0, 0, 0, 0, 0));
      assertEquals(Tap.OFFLOAD_CHECKSUM, guest.tap().offloads.get());
    }

    @ParameterizedTest
    @ValueSource(
        strings = {
          "4",
          "4 0",
          "4 0 1",
          "4 0 1 0 0",
          "4 1 1 0",
          "5 0 2 0 0 0 0 0 0",
          "5 0 2 0 0 0 0 0 0 0 0",
          "5 1 2 0 0 0 0 0 0 0",
          "0 0 1",
          "1 0 1",
          "1 1 2 0 0 0 0 1",
          "2 0 1 0",
          "3 0",
          "255 255"
        })
    void refusesAllElse(String command) {
      NetGuest guest = several(2).initialize();
      int[] bytes = Arrays.stream(command.split(" ")).mapToInt(Integer::parseInt).toArray();
      assertEquals(ERROR, guest.command(4, bytes));
      assertEquals(1, guest.count("control_refused"));
      assertEquals(OK, guest.command(4, MQ, 0, 1, 0));
    }

    @Test
    void isTheThirdQueueOfADriverWithoutSeveralPairs() {
      NetGuest guest = several(2);
      guest.initialize(guest.device.features() & ~NetFeature.MQ);
      assertEquals(OK, guest.command(2, GUEST_OFFLOADS, 0, 2, 0, 0, 0, 0, 0, 0, 0));
      assertEquals(ERROR, guest.command(2, MQ, 0, 1, 0));
      guest.initialize();
      assertEquals(OK, guest.command(4, MQ, 0, 2, 0), "and the last one of the next");
    }

    @Test
    void returnsACommandThatLeavesNoRoomForAnAnswer() {
      NetGuest guest = guest().initialize();
      GuestRing ring = guest.rings.get(2);
      ring.descriptor(0, COMMAND, 2, 0, 0).offer(0);
      guest.notifyOf(2);
      assertEquals(new GuestRing.Used(0, 0), guest.awaitUsed(2));
      ring.descriptor(0, -1, 2, NEXT, 1).descriptor(1, ACK, 1, WRITE, 0).offer(0);
      guest.notifyOf(2);
      guest.awaitUsed(2);
      assertEquals(ERROR, guest.memory.getByte(ACK));
      assertEquals(1, guest.count("errors_descriptors"));
    }

    @Test
    void canBeStoppedAlone() {
      NetGuest guest = guest().initialize();
      guest.driver.write(Register.QUEUE_SEL, 2);
      guest.driver.write(Register.QUEUE_READY, 0);
      assertGoesOn(guest);
    }
  }

  @Nested
  class RateLimits {
    private final AtomicLong nanoTime = new AtomicLong();

    /** A byte each microsecond: after a frame it makes wait for a millisecond or two. */
    private RateLimiter limiter() {
      return new RateLimiter(new TokenBucket(1, 1_000_000, nanoTime::get), null);
    }

    @Test
    void holdForWhatTheGuestSends() {
      NetGuest guest = own(new NetGuest(1, RateLimiter.UNLIMITED, limiter())).initialize();
      guest.send(frame(1500, 0));
      assertArrayEquals(frame(1500, 0), guest.hostReceives());
      assertEquals(0, guest.count("tx_rate_limited"), "nothing waits");
      guest.transmit().offer(0);
      guest.notifyOf(TRANSMIT);
      until(() -> guest.count("tx_rate_limited") > 2);
      assertFalse(guest.transmit().hasUsed());
      assertNull(guest.tap().poll());
      nanoTime.addAndGet(SECONDS.toNanos(1));
      guest.awaitUsed(TRANSMIT);
      assertEquals(1500 + HEADER, guest.hostReceives().length);
    }

    @Test
    void holdForWhatTheGuestReceives() {
      NetGuest guest = own(new NetGuest(1, limiter(), RateLimiter.UNLIMITED)).initialize();
      guest.giveBuffer(0, 2048);
      guest.giveBuffer(1, 2048);
      guest.tap().send(frame(1500, 0));
      guest.awaitUsed(RECEIVE);
      until(guest.interrupt::drain); // After which it looks no more.
      assertEquals(0, guest.count("rx_rate_limited"), "nothing waits");
      guest.tap().send(frame(1500, 1));
      until(() -> guest.count("rx_rate_limited") > 2);
      assertFalse(guest.receive().hasUsed());
      nanoTime.addAndGet(SECONDS.toNanos(1));
      assertEquals(1, guest.awaitUsed(RECEIVE).head());
    }

    @Test
    void areLeftByAReset() {
      NetGuest guest = own(new NetGuest(1, limiter(), limiter())).initialize();
      guest.giveBuffer(0, 2048);
      guest.giveBuffer(1, 2048);
      guest.tap().send(frame(1500, 0));
      guest.tap().send(frame(1500, 0));
      guest.send(frame(1500, 0));
      guest.transmit().offer(0);
      guest.notifyOf(TRANSMIT);
      until(() -> guest.count("rx_rate_limited") > 0 && guest.count("tx_rate_limited") > 0);
      guest.driver.reset();
      assertEquals(0, guest.driver.status());
    }
  }

  @Nested
  class LifeCycle {
    @Test
    void nothingIsWrittenAfterAReset() {
      NetGuest guest = guest().initialize();
      for (int i = 0; i < 8; i++) {
        guest.giveBuffer(i, 2048);
      }
      guest.tap().send(frame(100, 0));
      guest.awaitUsed(RECEIVE);
      guest.driver.reset();
      int used = guest.receive().usedIndex();
      guest.tap().send(frame(100, 0));
      guest.notifyOf(RECEIVE);
      until(guest.interrupt::drain);
      guest.driver.reset();
      assertEquals(used, guest.receive().usedIndex());
      assertArrayEquals(new byte[112], guest.bytes(receiveBuffer(1), 112));
      assertEquals(0, guest.driver.read(Register.INTERRUPT_STATUS));
    }

    @Test
    void aDriverGetsNoFrameThatWasMadeForAnother() {
      NetGuest guest = guest().initialize();
      guest.tap().send(frame(60_000, 1));
      guest.tap().send(frame(100, 1));
      guest.initialize(0);
      guest.giveBuffer(0, 1526);
      byte[] frame = frame(100, 2);
      guest.tap().send(frame);
      guest.awaitUsed(RECEIVE);
      assertArrayEquals(received(frame, 1), guest.bytes(receiveBuffer(0), 112));
    }

    @Test
    void aDriverThatOnlySendsIsServed() {
      NetGuest guest = guest();
      guest.driver.negotiate(0);
      guest.driver.setUpQueue(TRANSMIT, guest.transmit().setup());
      guest.driver.ready();
      assertGoesOn(guest);
    }

    @Test
    void aQueueThatIsStoppedIsNotServedAndTheOtherGoesOn() {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 2048);
      guest.driver.write(Register.QUEUE_SEL, RECEIVE);
      guest.driver.write(Register.QUEUE_READY, 0);
      guest.tap().send(frame(100, 0));
      assertGoesOn(guest);
      assertFalse(guest.receive().hasUsed());
    }

    /**
     * 2.6.1: what waits in the interface meanwhile comes into the new ring, and nothing into the
     * old.
     */
    @Test
    void aReceiveQueueThatIsResetAloneBringsFramesIntoItsNewRing() {
      NetGuest guest = guest().initialize();
      guest.giveBuffer(0, 2048);
      guest.driver.resetQueue(RECEIVE);
      guest.tap().send(frame(100, 7));
      assertGoesOn(guest);
      assertFalse(guest.receive().hasUsed());
      guest.receive().clear();
      guest.driver.setUpQueue(RECEIVE, guest.receive().setup());
      guest.giveBuffer(3, 2048);
      assertEquals(new GuestRing.Used(3, 112), guest.awaitUsed(RECEIVE));
    }

    @Test
    void aTransmitAndAControlQueueThatAreResetAloneAreServedAgain() {
      NetGuest guest = guest().initialize();
      for (int queue : new int[] {TRANSMIT, 2}) {
        guest.driver.resetQueue(queue);
        guest.rings.get(queue).clear();
        guest.driver.setUpQueue(queue, guest.rings.get(queue).setup());
      }
      assertGoesOn(guest);
      assertEquals(Control.OK, guest.command(2, Control.GUEST_OFFLOADS, 0, 2, 0, 0, 0, 0, 0, 0, 0));
    }

    @Test
    void closeEndsTheThreads() {
      NetGuest guest = own(new NetGuest(2, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED));
      guest.initialize();
      List<String> names =
          List.of(
              "net net0 rx0", "net net0 tx0", "net net0 rx1", "net net0 tx1", "net net0 control");
      assertTrue(threads().containsAll(names), threads().toString());
      guest.transport.close();
      assertTrue(threads().stream().noneMatch(names::contains), threads().toString());
    }

    private List<String> threads() {
      return Thread.getAllStackTraces().keySet().stream().map(Thread::getName).toList();
    }
  }
}
