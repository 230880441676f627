package dev.vireo.vmm.virtio.mmio;

import static dev.vireo.vmm.virtio.DeviceStatus.ACKNOWLEDGE;
import static dev.vireo.vmm.virtio.DeviceStatus.DRIVER;
import static dev.vireo.vmm.virtio.DeviceStatus.DRIVER_OK;
import static dev.vireo.vmm.virtio.DeviceStatus.FAILED;
import static dev.vireo.vmm.virtio.DeviceStatus.FEATURES_OK;
import static dev.vireo.vmm.virtio.DeviceStatus.NEEDS_RESET;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.EventFd;
import dev.vireo.vmm.virtio.VirtioDevice;
import dev.vireo.vmm.virtio.queue.GuestRing;
import dev.vireo.vmm.virtio.queue.QueueSetup;
import dev.vireo.vmm.virtio.queue.Virtqueue;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Sections are of VIRTIO 1.2. */
@Timeout(30)
class MmioTransportTest {
  private static final int USED_BUFFER = 1;
  private static final int CONFIG_CHANGE = 2;
  private static final int LIVE = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

  private final FakeDevice device = new FakeDevice();
  private final GuestRing ring = new GuestRing(FakeDevice.QUEUE_SIZE);
  private final EventFd interrupt = EventFd.nonBlocking();
  private final List<EventFd> notifiers = List.of(EventFd.nonBlocking(), EventFd.nonBlocking());
  private final MmioTransport transport =
      new MmioTransport(MmioPlan.X86_64.slot(0), device, ring.memory(), interrupt, notifiers);
  private final GuestDriver driver = new GuestDriver(transport, ring);

  @AfterEach
  void close() {
    transport.close();
    interrupt.close();
    notifiers.forEach(EventFd::close);
  }

  private long illegal(IllegalUse use) {
    String name = "illegal." + use.name().toLowerCase(Locale.ROOT);
    return transport.inspect().counters().getOrDefault(name, 0L);
  }

  /** That {@code use} was counted once by {@code action}. */
  private void assertIllegal(IllegalUse use, Runnable action) {
    long before = illegal(use);
    action.run();
    assertEquals(before + 1, illegal(use), use.name());
  }

  @Nested
  class Identification {
    @Test
    void isThatOfADeviceOfVersion2() {
      assertEquals(0x74726976, driver.read(Register.MAGIC_VALUE));
      assertEquals(2, driver.read(Register.VERSION));
      assertEquals(2, driver.read(Register.DEVICE_ID));
      assertEquals(0x4f455256, driver.read(Register.VENDOR_ID));
    }

    @Test
    void connectsTheDeviceOnce() {
      assertEquals(List.of("connect 2"), device.calls);
    }

    @Test
    void needsANotifierForEachQueue() {
      assertThrows(
          IllegalArgumentException.class,
          () ->
              new MmioTransport(
                  MmioPlan.X86_64.slot(0), device, ring.memory(), interrupt, List.of(interrupt)));
    }
  }

  @Nested
  class FeatureNegotiation {
    @Test
    void offersTheDevicesFeaturesAndVersion1() {
      assertEquals(FakeDevice.FEATURES | VirtioDevice.VERSION_1, driver.deviceFeatures());
    }

    @Test
    void thereIsNothingBeyond64Features() {
      driver.write(Register.DEVICE_FEATURES_SEL, 2);
      assertEquals(0, driver.read(Register.DEVICE_FEATURES));
      driver.write(Register.DEVICE_FEATURES_SEL, -1);
      assertEquals(0, driver.read(Register.DEVICE_FEATURES));
    }

    @Test
    void aSubsetWithVersion1IsAccepted() {
      driver.negotiate(1L << 3);
      assertEquals(ACKNOWLEDGE | DRIVER | FEATURES_OK, driver.status());
      assertEquals(1L << 3 | VirtioDevice.VERSION_1, transport.inspect().driverFeatures());
    }

    @Test
    void aDriverWithoutVersion1IsRefused() {
      driver.begin();
      driver.driverFeatures(1L << 3);
      assertIllegal(
          IllegalUse.FEATURES_REFUSED, () -> driver.status(ACKNOWLEDGE | DRIVER | FEATURES_OK));
      assertEquals(ACKNOWLEDGE | DRIVER, driver.status());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 31, 33, 63})
    void aFeatureThatWasNotOfferedIsRefused(int bit) {
      assertIllegal(IllegalUse.FEATURES_REFUSED, () -> driver.negotiate(1L << bit));
      assertEquals(ACKNOWLEDGE | DRIVER, driver.status());
    }

    @Test
    void aRefusedDriverMayTryAgain() {
      driver.negotiate(1);
      driver.driverFeatures(VirtioDevice.VERSION_1);
      driver.status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
      assertEquals(ACKNOWLEDGE | DRIVER | FEATURES_OK, driver.status());
    }

    @Test
    void featuresAreFrozenOnceTheyAreAccepted() {
      driver.negotiate(1L << 3);
      assertIllegal(IllegalUse.FEATURES_FROZEN, () -> driver.write(Register.DRIVER_FEATURES, 1));
      assertEquals(1L << 3 | VirtioDevice.VERSION_1, transport.inspect().driverFeatures());
    }

    @Test
    void featuresAreNotTakenBeforeThereIsADriver() {
      driver.status(ACKNOWLEDGE);
      assertIllegal(IllegalUse.FEATURES_FROZEN, () -> driver.write(Register.DRIVER_FEATURES, 8));
      assertEquals(0, transport.inspect().driverFeatures());
    }

    @Test
    void featuresBeyond64AreRefusedUnlessNone() {
      driver.begin();
      driver.write(Register.DRIVER_FEATURES_SEL, 2);
      driver.write(Register.DRIVER_FEATURES, 0);
      assertEquals(0, illegal(IllegalUse.FEATURES_REFUSED));
      assertIllegal(IllegalUse.FEATURES_REFUSED, () -> driver.write(Register.DRIVER_FEATURES, 1));
    }
  }

  @Nested
  class Status {
    @Test
    void goesStepByStepToDriverOk() {
      driver.initialize(0);
      assertEquals(LIVE, driver.status());
      assertEquals(VirtioDevice.VERSION_1, device.live().features());
    }

    @ParameterizedTest
    @ValueSource(
        ints = {
          DRIVER,
          ACKNOWLEDGE | DRIVER,
          FEATURES_OK,
          ACKNOWLEDGE | FEATURES_OK,
          ACKNOWLEDGE | DRIVER | DRIVER_OK,
          LIVE,
          0x10,
          0x100,
          0x101,
          0x8000_0001,
        })
    void noStepCanBeLeftOut(int value) {
      assertIllegal(IllegalUse.STATUS_STEP, () -> driver.status(value));
      assertEquals(0, driver.status());
    }

    @Test
    void driverOkNeedsFeaturesOk() {
      driver.begin();
      assertIllegal(IllegalUse.STATUS_STEP, () -> driver.status(ACKNOWLEDGE | DRIVER | DRIVER_OK));
      assertEquals(ACKNOWLEDGE | DRIVER, driver.status());
    }

    @ParameterizedTest
    @ValueSource(ints = {ACKNOWLEDGE, ACKNOWLEDGE | DRIVER, LIVE & ~FEATURES_OK, LIVE & ~DRIVER})
    void noBitCanBeTakenBack(int value) {
      driver.initialize(0);
      assertIllegal(IllegalUse.STATUS_STEP, () -> driver.status(value));
      assertEquals(LIVE, driver.status());
    }

    @Test
    void whatIsSetMayBeWrittenAgain() {
      driver.initialize(0);
      driver.status(LIVE);
      assertEquals(0, illegal(IllegalUse.STATUS_STEP));
      assertEquals(1, device.calls.stream().filter("activate"::equals).count());
    }

    @Test
    void aDriverMayGiveUpAnywhereAndMustResetThen() {
      driver.begin();
      driver.status(ACKNOWLEDGE | DRIVER | FAILED);
      assertEquals(ACKNOWLEDGE | DRIVER | FAILED, driver.status());
      assertIllegal(
          IllegalUse.STATUS_STEP, () -> driver.status(ACKNOWLEDGE | DRIVER | FAILED | FEATURES_OK));
      driver.initialize(0);
      assertEquals(LIVE, driver.status());
    }

    @Test
    void needsResetIsTheDevicesBit() {
      assertIllegal(IllegalUse.STATUS_STEP, () -> driver.status(DRIVER | NEEDS_RESET));
      driver.status(ACKNOWLEDGE | NEEDS_RESET);
      assertEquals(ACKNOWLEDGE, driver.status(), "not set by the driver");
      driver.initialize(0);
      transport.needsReset(new IllegalStateException("test"));
      driver.status(LIVE);
      assertEquals(LIVE | NEEDS_RESET, driver.status(), "nor cleared");
    }

    @Test
    void aBrokenDeviceWaitsForAReset() {
      driver.negotiate(0);
      transport.needsReset(new IllegalStateException("test"));
      assertFalse(interrupt.drain(), "no driver to tell yet");
      assertIllegal(IllegalUse.STATUS_STEP, driver::ready);
      driver.initialize(0);
      assertEquals(LIVE, driver.status());
    }
  }

  @Nested
  class Activation {
    @Test
    void hasTheQueuesThatAreReady() {
      driver.negotiate(Virtqueue.EVENT_IDX);
      driver.setUpQueue(1);
      driver.ready();
      assertTrue(device.live().queues().get(0).isEmpty());
      assertEquals(FakeDevice.QUEUE_SIZE, device.live().queues().get(1).orElseThrow().size());
      assertTrue(device.live().has(Virtqueue.EVENT_IDX));
      assertFalse(device.live().has(Virtqueue.INDIRECT_DESC));
    }

    @ParameterizedTest
    @CsvSource({
      "0x1001, 0x4000, 0x6000",
      "0x1000, 0x4001, 0x6000",
      "0x1000, 0x4000, 0x6001",
      "0xd0000000, 0x4000, 0x6000",
      "0x1000, 0x200000, 0x6000",
      "0x1000, 0x4000, -16",
    })
    void withAnIllegalRingNeedsAResetAndTheVcpuGoesOn(
        String descriptors, String available, String used) {
      driver.negotiate(0);
      driver.setUpQueue(
          0,
          new QueueSetup(8, Long.decode(descriptors), Long.decode(available), Long.decode(used)));
      assertIllegal(IllegalUse.ACTIVATION, driver::ready);
      assertEquals(LIVE | NEEDS_RESET, driver.status());
      assertEquals(CONFIG_CHANGE, driver.read(Register.INTERRUPT_STATUS));
      assertTrue(interrupt.drain());
      assertFalse(device.calls.contains("activate"));
    }

    @Test
    void thatTheDeviceFailsNeedsAResetAndTheVcpuGoesOn() {
      device.activationFailure = new IllegalStateException("no thread to be had");
      driver.initialize(0);
      assertEquals(LIVE | NEEDS_RESET, driver.status());
      assertEquals(CONFIG_CHANGE, driver.takeInterrupt());
      assertTrue(interrupt.drain());
      assertEquals("deactivate", device.calls.getLast());

      device.activationFailure = null;
      driver.initialize(0);
      assertEquals(LIVE, driver.status());
    }
  }

  @Nested
  class Reset {
    @Test
    void clearsEverythingAfterActivation() {
      driver.initialize(0);
      transport.usedBuffers();
      transport.needsReset(new IllegalStateException("test"));
      driver.reset();
      assertCleared();
      assertEquals("deactivate", device.calls.getLast());
    }

    @Test
    void clearsEverythingBeforeActivation() {
      driver.negotiate(1L << 3);
      driver.setUpQueue(1);
      transport.needsReset(new IllegalStateException("test"));
      driver.reset();
      assertCleared();
    }

    private void assertCleared() {
      assertEquals(0, driver.status());
      assertEquals(0, driver.read(Register.INTERRUPT_STATUS));
      assertEquals(0, transport.inspect().driverFeatures());
      for (TransportInspection.Queue queue : transport.inspect().queues()) {
        assertFalse(queue.ready());
        assertEquals(0, queue.size());
      }
      for (int queue = 0; queue < 2; queue++) {
        driver.write(Register.QUEUE_SEL, queue);
        assertEquals(0, driver.read(Register.QUEUE_READY));
      }
      driver.negotiate(0);
      driver.write(Register.QUEUE_SEL, 0);
      assertIllegal(
          IllegalUse.QUEUE_READY, () -> driver.write(Register.QUEUE_READY, 1)); // no size any more
    }

    @Test
    void letsTheDriverStartAgain() {
      driver.initialize(0);
      driver.initialize(Virtqueue.EVENT_IDX);
      assertEquals(LIVE, driver.status());
      assertTrue(device.live().has(Virtqueue.EVENT_IDX));
    }

    /** For another vCPU that reads the status meanwhile, too. */
    @Test
    void readsAsDoneOnlyWhenTheDeviceHasDrained() throws InterruptedException {
      CountDownLatch draining = new CountDownLatch(1);
      AtomicBoolean drained = new AtomicBoolean();
      FakeSlowDevice slow = new FakeSlowDevice(draining, drained);
      try (MmioTransport slowTransport =
          new MmioTransport(
              MmioPlan.X86_64.slot(0), slow, ring.memory(), interrupt, notifiers.subList(0, 1))) {
        GuestDriver slowDriver = new GuestDriver(slowTransport, ring);
        slowDriver.initialize(0);
        Thread resetting = Thread.ofPlatform().start(slowDriver::reset);
        draining.await();
        await()
            .pollDelay(Duration.ZERO)
            .pollInterval(Duration.ofMillis(1))
            .until(() -> slowDriver.status() == 0);
        assertTrue(drained.get(), "status read 0 before the device had drained");
        resetting.join();
      }
    }
  }

  @Nested
  class QueueRegistersOf {
    @Test
    void aQueueSayHowLargeItMayBe() {
      driver.write(Register.QUEUE_SEL, 1);
      assertEquals(FakeDevice.QUEUE_SIZE, driver.read(Register.QUEUE_NUM_MAX));
      assertEquals(0, driver.read(Register.QUEUE_READY));
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 0xffff, 0x1_0000, 0x1_0001, -1, Integer.MIN_VALUE})
    void noQueueReadZeroAndTakeNothing(int index) {
      driver.negotiate(0);
      driver.write(Register.QUEUE_SEL, index);
      assertEquals(0, driver.read(Register.QUEUE_NUM_MAX));
      assertEquals(0, driver.read(Register.QUEUE_READY));
      assertIllegal(IllegalUse.QUEUE_SELECT, () -> driver.write(Register.QUEUE_NUM, 8));
      assertIllegal(IllegalUse.QUEUE_SELECT, () -> driver.write(Register.QUEUE_READY, 1));
      assertIllegal(IllegalUse.QUEUE_SELECT, () -> driver.write(Register.QUEUE_READY, 0));
      assertIllegal(IllegalUse.QUEUE_SELECT, () -> driver.write(Register.QUEUE_DESC_LOW, 0));
      assertTrue(transport.inspect().queues().stream().allMatch(queue -> queue.size() == 0));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 65, 128, 0x1_0000, 0x1_0008, -64, Integer.MIN_VALUE})
    void anIllegalSizeIsRefused(int size) {
      driver.negotiate(0);
      driver.write(Register.QUEUE_NUM, 16);
      assertIllegal(IllegalUse.QUEUE_SIZE, () -> driver.write(Register.QUEUE_NUM, size));
      assertEquals(16, transport.inspect().queues().getFirst().size());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 32, 64})
    void everyPowerOfTwoUpToTheMaximumIsTaken(int size) {
      driver.negotiate(0);
      driver.write(Register.QUEUE_NUM, size);
      assertEquals(size, transport.inspect().queues().getFirst().size());
    }

    @Test
    void aQueueAreFrozenWhileItIsReady() {
      driver.negotiate(0);
      driver.setUpQueue(0);
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_DESC_LOW, 0x3000));
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_DEVICE_HIGH, 1));
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_NUM, 8));
      driver.ready();
      assertEquals(LIVE, driver.status(), "the addresses are the old ones");
    }

    @Test
    void aQueueCanBeChangedWhenItIsNotReadyAnyMore() {
      driver.negotiate(0);
      driver.setUpQueue(0);
      driver.write(Register.QUEUE_READY, 0);
      driver.write(Register.QUEUE_NUM, 8);
      assertEquals(8, transport.inspect().queues().getFirst().size());
    }

    @Test
    void aQueueAreNotSetBeforeFeaturesOk() {
      driver.begin();
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_NUM, 8));
    }

    @Test
    void aQueueAreNotSetAfterDriverOk() {
      driver.initialize(0);
      driver.write(Register.QUEUE_SEL, 1);
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_NUM, 8));
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_READY, 1));
    }

    @Test
    void aLiveQueueStopItByReadyZero() {
      driver.initialize(0);
      assertEquals(1, driver.read(Register.QUEUE_READY));
      driver.write(Register.QUEUE_READY, 0);
      assertEquals(0, driver.read(Register.QUEUE_READY));
      assertEquals("stop 0", device.calls.getLast());
      assertEquals(LIVE, driver.status());
    }

    @Test
    void aQueueBecomeReadyByOneOnly() {
      driver.negotiate(0);
      driver.write(Register.QUEUE_NUM, 8);
      assertIllegal(IllegalUse.QUEUE_READY, () -> driver.write(Register.QUEUE_READY, 3));
      assertEquals(0, driver.read(Register.QUEUE_READY));
    }
  }

  /** Section 2.6.1. */
  @Nested
  class QueueReset {
    private void live() {
      driver.initialize(VirtioDevice.RING_RESET);
    }

    private void resetQueue() {
      driver.write(Register.QUEUE_RESET, 1);
    }

    @Test
    void stopsTheQueueAndIsDoneWhenTheWriteReturns() {
      live();
      resetQueue();
      assertEquals("stop 0", device.calls.getLast());
      assertEquals(0, driver.read(Register.QUEUE_RESET));
      assertEquals(0, driver.read(Register.QUEUE_READY));
      assertEquals(LIVE, driver.status(), "the device goes on");
    }

    @Test
    void leavesNothingOfWhatTheQueueWas() {
      live();
      resetQueue();
      assertEquals(0, transport.inspect().queues().getFirst().size());
      assertIllegal(IllegalUse.QUEUE_READY, () -> driver.write(Register.QUEUE_READY, 1));
    }

    @Test
    void letsTheDriverSetTheQueueUpAgainSmallerToo() {
      live();
      resetQueue();
      QueueSetup was = ring.setup();
      driver.setUpQueue(
          0, new QueueSetup(8, was.descriptorTable(), was.availableRing(), was.usedRing()));
      assertEquals("start 0 of 8", device.calls.getLast());
      assertEquals(1, driver.read(Register.QUEUE_READY));
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_NUM, 16));
      resetQueue();
      driver.setUpQueue(0);
      assertEquals("start 0 of 64", device.calls.getLast(), "as often as it likes");
    }

    @Test
    void thawsNoOtherQueue() {
      live();
      resetQueue();
      driver.write(Register.QUEUE_SEL, 1);
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_NUM, 8));
    }

    @Test
    void needsTheFeature() {
      driver.initialize(0);
      assertIllegal(IllegalUse.QUEUE_RESET, this::resetQueue);
      assertEquals(1, driver.read(Register.QUEUE_READY));
    }

    @Test
    void isAskedForByOneOnly() {
      live();
      assertIllegal(IllegalUse.QUEUE_RESET, () -> driver.write(Register.QUEUE_RESET, 0));
      assertIllegal(IllegalUse.QUEUE_RESET, () -> driver.write(Register.QUEUE_RESET, 3));
      assertEquals(1, driver.read(Register.QUEUE_READY));
    }

    @Test
    void ofAQueueThatDoesNotExistIsIllegal() {
      live();
      driver.write(Register.QUEUE_SEL, 2);
      assertIllegal(IllegalUse.QUEUE_SELECT, this::resetQueue);
    }

    @Test
    void beforeDriverOkClearsWhatWasSetUp() {
      driver.negotiate(VirtioDevice.RING_RESET);
      driver.setUpQueue(0);
      resetQueue();
      assertEquals(0, transport.inspect().queues().getFirst().size());
      driver.setUpQueue(0);
      assertFalse(device.calls.getLast().startsWith("st"), "nothing is served yet");
      driver.ready();
      assertEquals(LIVE, driver.status());
    }

    @Test
    void withAnIllegalRingAfterItNeedsAReset() {
      live();
      resetQueue();
      driver.setUpQueue(0, new QueueSetup(64, 1, 2, 4));
      assertTrue((driver.status() & NEEDS_RESET) != 0);
      assertEquals(1, illegal(IllegalUse.ACTIVATION));
    }

    @Test
    void endsWithTheDevicesOwnReset() {
      live();
      resetQueue();
      driver.negotiate(0);
      driver.setUpQueue(0);
      driver.ready();
      assertEquals("activate", device.calls.getLast());
      assertIllegal(IllegalUse.QUEUE_FROZEN, () -> driver.write(Register.QUEUE_READY, 1));
    }
  }

  @Nested
  class Notification {
    @Test
    void wakesTheQueueWhereNoIoeventfdTookIt() {
      driver.initialize(0);
      driver.write(Register.QUEUE_NOTIFY, 1);
      assertFalse(notifiers.get(0).drain());
      assertTrue(notifiers.get(1).drain());
    }

    @Test
    void beforeDriverOkConsumesNothing() {
      driver.negotiate(0);
      driver.setUpQueue(0);
      assertIllegal(IllegalUse.NOTIFICATION, () -> driver.write(Register.QUEUE_NOTIFY, 0));
      assertFalse(notifiers.get(0).drain());
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 0x1_0000, -1})
    void ofAQueueThatDoesNotExistIsIgnored(int index) {
      driver.initialize(0);
      assertIllegal(IllegalUse.NOTIFICATION, () -> driver.write(Register.QUEUE_NOTIFY, index));
    }
  }

  @Nested
  class InterruptStatus {
    @Test
    void hasABitFromTheEventToItsAcknowledgement() {
      driver.initialize(0);
      transport.usedBuffers();
      assertTrue(interrupt.drain());
      assertEquals(USED_BUFFER, driver.read(Register.INTERRUPT_STATUS));
      assertEquals(USED_BUFFER, driver.read(Register.INTERRUPT_STATUS), "reading changes nothing");
      driver.write(Register.INTERRUPT_ACK, USED_BUFFER);
      assertEquals(0, driver.read(Register.INTERRUPT_STATUS));
    }

    @Test
    void canHaveBothBitsAndLosesOnlyWhatIsAcknowledged() {
      driver.initialize(0);
      transport.usedBuffers();
      transport.changeConfig(() -> {});
      assertEquals(USED_BUFFER | CONFIG_CHANGE, driver.read(Register.INTERRUPT_STATUS));
      driver.write(Register.INTERRUPT_ACK, USED_BUFFER);
      assertEquals(CONFIG_CHANGE, driver.read(Register.INTERRUPT_STATUS));
      driver.write(Register.INTERRUPT_ACK, 0);
      assertEquals(CONFIG_CHANGE, driver.read(Register.INTERRUPT_STATUS));
      driver.write(Register.INTERRUPT_ACK, -1);
      assertEquals(0, driver.read(Register.INTERRUPT_STATUS));
    }

    @Test
    void keepsWhatComesBetweenReadAndAcknowledgement() {
      driver.initialize(0);
      transport.usedBuffers();
      int seen = driver.read(Register.INTERRUPT_STATUS);
      transport.changeConfig(() -> {});
      driver.write(Register.INTERRUPT_ACK, seen);
      assertEquals(CONFIG_CHANGE, driver.read(Register.INTERRUPT_STATUS));
    }

    @Test
    void isSignalledAgainForAnEventWhoseBitIsStillSet() {
      driver.initialize(0);
      transport.usedBuffers();
      assertTrue(interrupt.drain());
      transport.usedBuffers();
      assertTrue(interrupt.drain());
    }

    @Test
    void losesNoBitToAnAcknowledgementOfTheOther() throws InterruptedException {
      driver.initialize(0);
      int rounds = 20_000;
      Thread changes =
          Thread.ofPlatform()
              .start(() -> {
                for (int i = 0; i < rounds; i++) {
                  transport.usedBuffers();
                  driver.write(Register.INTERRUPT_ACK, USED_BUFFER);
                }
              });
      for (int i = 0; i < rounds; i++) {
        transport.changeConfig(() -> {});
        assertTrue((driver.read(Register.INTERRUPT_STATUS) & CONFIG_CHANGE) != 0);
        driver.write(Register.INTERRUPT_ACK, CONFIG_CHANGE);
      }
      changes.join();
      assertEquals(0, driver.read(Register.INTERRUPT_STATUS));
    }
  }

  @Nested
  class Configuration {
    @Test
    void generationChangesWheneverItChanged() {
      driver.initialize(0);
      int before = driver.read(Register.CONFIG_GENERATION);
      assertEquals(before, driver.read(Register.CONFIG_GENERATION));
      transport.changeConfig(() -> device.config[0] = 99);
      assertNotEquals(before, driver.read(Register.CONFIG_GENERATION));
      assertEquals(99, transport.read(Register.CONFIG, 1));
      assertTrue(interrupt.drain());
    }

    @Test
    void changeBeforeDriverOkInterruptsNobody() {
      transport.changeConfig(() -> {});
      assertEquals(0, driver.read(Register.INTERRUPT_STATUS));
      assertFalse(interrupt.drain());
      assertNotEquals(0, driver.read(Register.CONFIG_GENERATION));
    }

    @Test
    void whatARequestHasChangedIsShownAndInterruptsNobody() {
      driver.initialize(0);
      int before = driver.read(Register.CONFIG_GENERATION);
      device.config[0] = 99;
      assertEquals(1, transport.read(Register.CONFIG, 1));
      transport.showConfig();
      assertNotEquals(before, driver.read(Register.CONFIG_GENERATION));
      assertEquals(99, transport.read(Register.CONFIG, 1));
      assertEquals(0, driver.read(Register.INTERRUPT_STATUS));
      assertFalse(interrupt.drain());
    }

    /** What section 2.5.1 is for: values of two generations cannot be mixed up unnoticed. */
    @Test
    void isNeverTornWithinAGeneration() throws InterruptedException {
      Thread changes =
          Thread.ofPlatform()
              .start(() -> {
                for (byte i = 1; i != 0; i++) {
                  byte value = i;
                  transport.changeConfig(() -> java.util.Arrays.fill(device.config, value));
                }
              });
      while (changes.isAlive()) {
        int before = driver.read(Register.CONFIG_GENERATION);
        long first = transport.read(Register.CONFIG, 1);
        long last = transport.read(Register.CONFIG + 6, 1);
        int after = driver.read(Register.CONFIG_GENERATION);
        if (before == after && before != 0) {
          assertEquals(first, last);
        }
      }
      changes.join();
    }

    @ParameterizedTest
    @CsvSource({
      "0, 1, 0x01",
      "0, 2, 0x0201",
      "0, 4, 0x04030201",
      "1, 4, 0x05040302",
      "3, 2, 0x0504",
      "6, 1, 0x07",
      "6, 2, 0x07", // across the end
      "4, 4, 0x070605",
      "7, 4, 0", // beyond it
      "0xeff, 4, 0",
    })
    void isReadByOneTwoOrFourBytes(String offset, int width, String value) {
      assertEquals(
          Long.decode(value), transport.read(Register.CONFIG + Integer.decode(offset), width));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 8})
    void hasNoOtherWidths(int width) {
      assertIllegal(
          IllegalUse.ACCESS_WIDTH, () -> assertEquals(0, transport.read(Register.CONFIG, width)));
      assertIllegal(IllegalUse.ACCESS_WIDTH, () -> transport.write(Register.CONFIG, width, -1));
      assertEquals(1, device.config[0]);
    }

    @Test
    void isWrittenWhereTheDeviceAllowsIt() {
      transport.write(Register.CONFIG + 6, 1, 0xabL);
      assertEquals((byte) 0xab, device.config[6]);
      transport.write(Register.CONFIG + 6, 4, 0xffff_ffcdL);
      assertEquals((byte) 0xcd, device.config[6]);
      assertEquals(0, illegal(IllegalUse.CONFIG_READ_ONLY));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 7, 0xeff})
    void isReadOnlyOtherwise(int offset) {
      assertIllegal(
          IllegalUse.CONFIG_READ_ONLY, () -> transport.write(Register.CONFIG + offset, 4, 0));
      assertEquals(1, device.config[0]);
    }
  }

  @Nested
  class ControlRegisters {
    @ParameterizedTest
    @CsvSource({"0, 1", "0, 2", "0, 8", "1, 4", "2, 4", "0x70, 1", "0x71, 1", "0x60, 2", "0xfd, 4"})
    void takeAligned32BitAccessesOnly(String offset, int width) {
      int register = Integer.decode(offset);
      assertIllegal(
          IllegalUse.ACCESS_WIDTH, () -> assertEquals(0, transport.read(register, width)));
      assertIllegal(IllegalUse.ACCESS_WIDTH, () -> transport.write(register, width, 1));
      assertEquals(0, driver.status());
    }

    @Test
    void notificationsAndAcknowledgementsByOtherWidthsDoNothing() {
      driver.initialize(0);
      transport.usedBuffers();
      transport.write(Register.INTERRUPT_ACK, 1, USED_BUFFER);
      transport.write(Register.QUEUE_NOTIFY, 2, 0);
      assertEquals(USED_BUFFER, driver.read(Register.INTERRUPT_STATUS));
      assertFalse(notifiers.getFirst().drain());
      assertEquals(2, illegal(IllegalUse.ACCESS_WIDTH));
    }

    @ParameterizedTest
    @ValueSource(ints = {0x018, 0x01c, 0x028, 0x03c, 0x048, 0x054, 0x0c4, 0x0f8, 0x014, 0x050})
    void thatDoNotExistOrCannotBeReadGiveZero(int register) {
      assertIllegal(IllegalUse.NO_SUCH_REGISTER, () -> assertEquals(0, driver.read(register)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0x000, 0x004, 0x010, 0x034, 0x060, 0x0b0, 0x0fc, 0x018, 0x0c4})
    void thatDoNotExistOrCannotBeWrittenTakeNothing(int register) {
      assertIllegal(IllegalUse.NO_SUCH_REGISTER, () -> driver.write(register, 1));
    }

    @Test
    void ofASharedMemoryThatDoesNotExistReadAllOnes() {
      driver.write(Register.SHM_SEL, 3);
      assertEquals(-1, driver.read(Register.SHM_LEN_LOW));
      assertEquals(-1, driver.read(Register.SHM_LEN_HIGH));
      assertEquals(-1, driver.read(Register.SHM_BASE_LOW));
      assertEquals(0xffff_ffffL, transport.read(Register.SHM_LEN_LOW, 4), "32 bits, no sign");
    }
  }

  @Nested
  class Inspection {
    @Test
    void countsExitsByRegisterClass() {
      driver.initialize(0);
      driver.read(Register.INTERRUPT_STATUS);
      driver.read(Register.INTERRUPT_STATUS);
      driver.write(Register.INTERRUPT_ACK, 1);
      driver.write(Register.QUEUE_NOTIFY, 0);
      transport.read(Register.CONFIG, 4);
      Map<RegisterClass, Long> exits = transport.inspect().exits();
      assertEquals(2, exits.get(RegisterClass.INTERRUPT_STATUS));
      assertEquals(1, exits.get(RegisterClass.INTERRUPT_ACK));
      assertEquals(1, exits.get(RegisterClass.QUEUE_NOTIFY));
      assertEquals(1, exits.get(RegisterClass.CONFIG));
      assertEquals(5, transport.inspect().exitsSinceDriverOk());
    }

    @Test
    void showsTheDevicesCountersToo() {
      assertEquals(1, transport.inspect().counters().get("fakes"));
      assertEquals(0, transport.inspect().exitsSinceDriverOk());
    }

    @Test
    void classesHaveTheNamesOfTheMetrics() {
      assertEquals("interrupt_ack", RegisterClass.of(Register.INTERRUPT_ACK).label());
      assertEquals("interrupt_status", RegisterClass.of(Register.INTERRUPT_STATUS).label());
      assertEquals("queue_notify", RegisterClass.of(Register.QUEUE_NOTIFY).label());
      assertEquals("config", RegisterClass.of(0xfff).label());
      assertEquals("other", RegisterClass.of(Register.CONFIG_GENERATION).label());
    }
  }

  /** What the guest reads from the page is what it would read by exits, at every step. */
  @Test
  void thePageShowsWhatCanBeReadAndNothingElse() {
    RegisterPage page = new RegisterPage();
    InterruptRegisters strict = new InterruptRegisters(RegisterAccess.STRICT, page, interrupt);
    try (MmioTransport paged =
        new MmioTransport(MmioPlan.X86_64.slot(0), device, ring.memory(), strict, notifiers)) {
      GuestDriver pagedDriver = new GuestDriver(paged, ring);
      assertShows(page, paged);
      pagedDriver.negotiate(1L << 3);
      pagedDriver.write(Register.DEVICE_FEATURES_SEL, 1);
      pagedDriver.setUpQueue(1);
      assertShows(page, paged);
      pagedDriver.ready();
      device.live().signals().changeConfig(() -> device.config[0] = 42);
      device.live().signals().usedBuffers();
      assertShows(page, paged);
      pagedDriver.write(Register.INTERRUPT_ACK, CONFIG_CHANGE);
      device.live().signals().needsReset(new IllegalStateException("test"));
      paged.write(Register.CONFIG + 6, 1, 7);
      assertShows(page, paged);
      pagedDriver.write(Register.QUEUE_SEL, 2);
      assertShows(page, paged);
      pagedDriver.reset();
      assertShows(page, paged);
    }
  }

  private static void assertShows(RegisterPage page, MmioTransport transport) {
    for (int offset = 0; offset < RegisterPage.BYTES; offset += 4) {
      int shown = page.shown().get(ValueLayout.JAVA_INT, offset);
      assertEquals((int) transport.read(offset, 4), shown, "at 0x" + Integer.toHexString(offset));
    }
  }

  @Test
  void closeClosesTheDevice() {
    transport.close();
    assertEquals("close", device.calls.getLast());
  }

  /** No sequence of accesses whatever makes it throw: pseudo-random, the seed is in the message. */
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4})
  void nothingAGuestWritesThrows(long seed) {
    var random = new java.util.Random(seed);
    int[] widths = {1, 2, 4, 4, 4, 4, 8};
    for (int i = 0; i < 50_000; i++) {
      int offset = random.nextInt(10) == 0 ? random.nextInt(0x1000) : 4 * random.nextInt(0x44);
      int width = widths[random.nextInt(widths.length)];
      long value =
          switch (random.nextInt(4)) {
            case 0 -> random.nextLong();
            case 1 -> 1L << random.nextInt(32);
            default -> random.nextInt(16);
          };
      if (random.nextBoolean()) {
        transport.write(offset, width, value);
      } else {
        transport.read(offset, width);
      }
      if (random.nextInt(200) == 0) {
        driver.initialize(random.nextBoolean() ? Virtqueue.EVENT_IDX : 0);
      }
    }
    driver.initialize(0);
    assertEquals(LIVE, driver.status(), "seed " + seed);
  }
}
