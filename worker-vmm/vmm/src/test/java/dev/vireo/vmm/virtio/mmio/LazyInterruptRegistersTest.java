package dev.vireo.vmm.virtio.mmio;

import static dev.vireo.vmm.virtio.mmio.InterruptRegisters.CONFIGURATION_CHANGE;
import static dev.vireo.vmm.virtio.mmio.InterruptRegisters.USED_BUFFER;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.EventFd;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The guest is played by loads from the page and, for KVM's part, signals of the eventfds. */
@Timeout(60)
class LazyInterruptRegistersTest {
  private static final int EVENTS = 50_000;

  private final RegisterPage page = new RegisterPage();
  private final EventFd interrupt = EventFd.blocking();
  private final EventFd acknowledgements = EventFd.nonBlocking();
  private final LazyInterruptRegisters registers =
      new LazyInterruptRegisters(page, interrupt, acknowledgements);

  @AfterEach
  void close() {
    registers.close();
    interrupt.close();
    acknowledgements.close();
  }

  private int status() {
    return page.shown().get(ValueLayout.JAVA_INT, Register.INTERRUPT_STATUS);
  }

  /** The driver writes 1 to InterruptACK, which KVM takes. */
  private void acknowledgeUsedBuffer() {
    acknowledgements.signal();
  }

  @Test
  void theBitIsThereWhenTheInterruptIs() {
    registers.raise(USED_BUFFER);
    assertTrue(interrupt.drain());
    assertEquals(USED_BUFFER, status());
  }

  @Test
  void anAcknowledgementThatKvmTookClearsTheBitWhenItIsLookedFor() {
    registers.raise(USED_BUFFER);
    acknowledgeUsedBuffer();
    assertEquals(USED_BUFFER, status());
    registers.takeAcknowledgements();
    assertEquals(0, status());
  }

  @Test
  void aBitThatWasNotAcknowledgedStays() {
    registers.raise(USED_BUFFER);
    registers.takeAcknowledgements();
    assertEquals(USED_BUFFER, status());
  }

  @Test
  void anOldAcknowledgementDoesNotClearTheBitOfANewEvent() {
    assertEquals(USED_BUFFER, statusAfterANewEventAndALookFor(registers));
  }

  /** That the test above would see it. */
  @Test
  void naivelyAnOldAcknowledgementClearsTheBitOfANewEvent() {
    NaiveInterruptRegisters naive = new NaiveInterruptRegisters(page, interrupt, acknowledgements);
    assertEquals(0, statusAfterANewEventAndALookFor(naive));
  }

  private int statusAfterANewEventAndALookFor(LazyInterruptRegisters some) {
    some.raise(USED_BUFFER);
    acknowledgeUsedBuffer();
    some.raise(USED_BUFFER);
    some.takeAcknowledgements();
    return status();
  }

  @Test
  void anAcknowledgementOfABitThatWasClearDoesNotClearTheNextOne() {
    acknowledgeUsedBuffer();
    registers.raise(USED_BUFFER);
    registers.takeAcknowledgements();
    assertEquals(USED_BUFFER, status());
  }

  @Test
  void bothBitsCanBePendingAndOneAcknowledged() {
    registers.raise(USED_BUFFER);
    registers.raise(CONFIGURATION_CHANGE);
    registers.acknowledge(CONFIGURATION_CHANGE);
    assertEquals(USED_BUFFER, status());
    registers.raise(CONFIGURATION_CHANGE);
    acknowledgeUsedBuffer();
    registers.takeAcknowledgements();
    assertEquals(CONFIGURATION_CHANGE, status());
  }

  @Test
  void anAcknowledgementOfBothTakesThoseBeforeItAlong() {
    registers.raise(USED_BUFFER);
    acknowledgeUsedBuffer();
    registers.acknowledge(USED_BUFFER | CONFIGURATION_CHANGE);
    assertEquals(0, status());
    assertFalse(acknowledgements.drain());
  }

  @Test
  void aResetForgetsAcknowledgementsToo() {
    registers.raise(USED_BUFFER);
    registers.raise(CONFIGURATION_CHANGE);
    acknowledgeUsedBuffer();
    registers.reset();
    assertEquals(0, status());
    assertFalse(acknowledgements.drain());
  }

  @Test
  void theSweepClearsWhatNoFurtherEventDoes() {
    try (AcknowledgementSweep sweep = new AcknowledgementSweep()) {
      sweep.add(registers);
      sweep.start();
      for (int i = 0; i < 3; i++) {
        registers.raise(USED_BUFFER);
        acknowledgeUsedBuffer();
        await().until(() -> status() == 0);
      }
    }
  }

  @Test
  void aSweepThatWasNeverStartedCloses() {
    new AcknowledgementSweep().close();
  }

  @Test
  void underASweepNoEventIsLost() throws InterruptedException {
    assertFalse(losesAnEventOf(EVENTS, registers));
  }

  /** That the test above would see it. */
  @Test
  void naivelyUnderASweepAnEventIsLost() throws InterruptedException {
    NaiveInterruptRegisters naive = new NaiveInterruptRegisters(page, interrupt, acknowledgements);
    assertTrue(losesAnEventOf(Integer.MAX_VALUE, naive));
  }

  /**
   * A device that uses one buffer after the other, and a driver that does as Linux does: sleeps,
   * looks at the status, acknowledges, and takes the buffer only if the bit was set.
   *
   * @return whether the driver took an interrupt for somebody else's while a buffer waited for it
   */
  private boolean losesAnEventOf(int events, LazyInterruptRegisters some)
      throws InterruptedException {
    AtomicInteger used = new AtomicInteger();
    try (AcknowledgementSweep sweep = new AcknowledgementSweep();
        EventFd available = EventFd.blocking()) {
      sweep.add(some);
      sweep.start();
      Thread device =
          Thread.ofPlatform()
              .start(() -> {
                while (available.drain() && used.get() >= 0) {
                  used.incrementAndGet();
                  some.raise(USED_BUFFER);
                }
              });
      boolean lost = false;
      for (int event = 1; event <= events && !lost; event++) {
        available.signal();
        boolean signalled = interrupt.drain();
        int bits = status();
        if (bits == USED_BUFFER) {
          acknowledgeUsedBuffer();
        }
        lost = signalled && bits == 0 && used.get() == event;
      }
      used.set(Integer.MIN_VALUE);
      available.signal();
      device.join();
      return lost;
    }
  }
}
