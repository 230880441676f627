package dev.vireo.vmm.virtio.input;

import static dev.vireo.vmm.virtio.queue.GuestRing.BUFFERS;
import static dev.vireo.vmm.virtio.queue.GuestRing.WRITE;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.Arm64Platform;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.virtio.mmio.GuestDriver;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import dev.vireo.vmm.virtio.queue.GuestRing;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The button as a driver of virtio-input sees it (VIRTIO 1.2, section 5.8). */
final class PowerButtonTest {
  private static final int CONFIG = 0x100;
  private static final int NEEDS_RESET = 0x40;

  private final GuestRing ring = new GuestRing(64);
  private final EventFd interrupt = EventFd.nonBlocking();
  private final EventFd events = EventFd.blocking();
  private final EventFd status = EventFd.blocking();
  private final PowerButton button = new PowerButton("power-button");
  private final MmioTransport transport =
      new MmioTransport(
          Arm64Platform.POWER_BUTTON, button, ring.memory(), interrupt, List.of(events, status));
  private final GuestDriver driver = new GuestDriver(transport, ring);

  @AfterEach
  void close() {
    transport.close();
    events.close();
    status.close();
    interrupt.close();
  }

  private void offerBuffers(int first, int count) {
    for (int i = first; i < first + count; i++) {
      ring.descriptor(i, BUFFERS + 8L * i, 8, WRITE, 0).offer(i);
    }
    GuestDriver.notifyBy(events);
  }

  private long event(int buffer) {
    return ring.memory().getLong(BUFFERS + 8L * buffer);
  }

  private String selected(int select, int subselect) {
    transport.write(CONFIG, 1, select);
    transport.write(CONFIG + 1, 1, subselect);
    byte[] data = new byte[(int) transport.read(CONFIG + 2, 1)];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) transport.read(CONFIG + 8 + i, 1);
    }
    return new String(data, StandardCharsets.ISO_8859_1);
  }

  private void awaitUsed(int count) {
    await().until(() -> ring.usedIndex() == count);
  }

  private static long event(int type, int code, int value) {
    return (long) value << 32 | (long) code << 16 | type;
  }

  @Test
  void isAKeyboardWithAPowerKey() {
    assertEquals("Power Button", selected(1, 0));
    assertEquals(8, selected(3, 0).length());
    String keys = selected(0x11, 1);
    for (int key = 0; key < 8 * keys.length(); key++) {
      assertEquals(key == 116, (keys.charAt(key / 8) >> key % 8 & 1) != 0, "key " + key);
    }
  }

  @Test
  void whatItHasNotIsOfSizeZero() {
    assertEquals("", selected(2, 0), "serial number");
    assertEquals("", selected(0x11, 2), "relative axes");
    assertEquals("", selected(0x10, 0), "properties");
    assertEquals("", selected(1, 1), "a second name");
    assertEquals("", selected(0xff, 0xff));
  }

  @Test
  void aPressGoesDownAndUpAgain() {
    driver.initialize(button.features());
    offerBuffers(0, 8);
    button.press();
    awaitUsed(4);
    assertEquals(event(1, 116, 1), event(0));
    assertEquals(event(0, 0, 0), event(1));
    assertEquals(event(1, 116, 0), event(2));
    assertEquals(event(0, 0, 0), event(3));
    await().until(() -> driver.takeInterrupt() == 1);
    assertEquals(Map.of("events", 4L), button.counters());
  }

  @Test
  void aPressBeforeTheDriverIsReadyIsHeardOfAfterwards() {
    button.press();
    button.press();
    driver.initialize(button.features());
    offerBuffers(0, 8);
    awaitUsed(4);
    assertEquals(event(1, 116, 1), event(0));
  }

  @Test
  void eventsWaitForBuffers() {
    driver.initialize(button.features());
    offerBuffers(0, 1);
    button.press();
    awaitUsed(1);
    offerBuffers(1, 2);
    awaitUsed(3);
    offerBuffers(3, 5);
    awaitUsed(4);
    assertEquals(event(1, 116, 0), event(2));
  }

  /** The next driver would hear of a key that goes up and was never down. */
  @Test
  void whatIsLeftOfAPressIsNotTheNextDrivers() {
    driver.initialize(button.features());
    offerBuffers(0, 1);
    button.press();
    awaitUsed(1);
    driver.reset();
    ring.clear();
    driver.initialize(button.features());
    offerBuffers(0, 4);
    button.press();
    awaitUsed(4);
    assertEquals(event(1, 116, 1), event(0));
    assertEquals(event(0, 0, 0), event(3));
  }

  /** VIRTIO 1.2, section 2.6.1. */
  @Test
  void aQueueThatIsResetAloneIsServedAgain() {
    driver.initialize(button.features());
    driver.resetQueue(0);
    ring.clear();
    driver.setUpQueue(0);
    offerBuffers(0, 4);
    button.press();
    awaitUsed(4);
  }

  @Test
  void eachPressIsTold() {
    driver.initialize(button.features());
    offerBuffers(0, 8);
    button.press();
    awaitUsed(4);
    button.press();
    awaitUsed(8);
    assertEquals(event(1, 116, 1), event(4));
  }

  /** The buffer comes back empty, and the queue goes on. */
  @Test
  void aBufferThatIsTooSmallLosesItsEvent() {
    driver.initialize(button.features());
    ring.descriptor(0, BUFFERS, 7, WRITE, 0).offer(0);
    offerBuffers(1, 3);
    button.press();
    awaitUsed(4);
    assertEquals(new GuestRing.Used(0, 0), ring.takeUsed());
    assertEquals(new GuestRing.Used(1, 8), ring.takeUsed());
    assertEquals(Map.of("events", 3L, "events_lost", 1L), button.counters());
  }

  @Test
  void aBrokenRingNeedsAResetAfterWhichItWorks() {
    driver.initialize(button.features());
    ring.offer(64);
    button.press();
    await().until(() -> (driver.status() & NEEDS_RESET) != 0);
    driver.initialize(button.features());
    offerBuffers(0, 4);
    awaitUsed(4);
  }

  @Test
  void statusOfTheDriversIsTakenAndIgnored() {
    ring.clear();
    driver.negotiate(button.features());
    driver.setUpQueue(1);
    driver.ready();
    ring.descriptor(0, BUFFERS, 8, 0, 0).offer(0);
    GuestDriver.notifyBy(status);
    awaitUsed(1);
    assertTrue(button.counters().containsKey("status_ignored"));
  }
}
