package dev.vireo.vmm.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A 16550A serial port (National Semiconductor PC16550D data sheet) whose transmitter is infinitely
 * fast. Nothing is ever received but what the guest loops back to itself.
 *
 * <p>The interrupt is an edge: it is raised when a condition becomes pending and none was before,
 * as on a PC's ISA bus.
 */
final class Serial16550 {
  /** Where transmitted bytes go; they are valid during the call only. */
  interface Output {
    void write(MemorySegment bytes);
  }

  private static final int DATA = 0;
  private static final int INTERRUPT_ENABLE = 1;
  private static final int INTERRUPT_IDENTIFICATION = 2;
  private static final int LINE_CONTROL = 3;
  private static final int MODEM_CONTROL = 4;
  private static final int LINE_STATUS = 5;
  private static final int MODEM_STATUS = 6;
  private static final int SCRATCH = 7;

  private static final int ENABLE_RECEIVED = 1;
  private static final int ENABLE_TRANSMITTER_EMPTY = 1 << 1;
  private static final int ENABLE_MASK = 0xf;

  private static final int IDENTIFY_NONE = 1;
  private static final int IDENTIFY_TRANSMITTER_EMPTY = 2;
  private static final int IDENTIFY_RECEIVED = 4;
  private static final int IDENTIFY_FIFOS = 0xc0;

  private static final int FIFO_ENABLE = 1;
  private static final int FIFO_CLEAR_RECEIVER = 1 << 1;
  private static final int DIVISOR_LATCH = 1 << 7;
  private static final int LOOPBACK = 1 << 4;
  private static final int MODEM_CONTROL_MASK = 0x1f;

  private static final int RECEIVED = 1;
  private static final int TRANSMITTER_EMPTY = 0x60;

  /** Carrier, data set ready, clear to send. */
  private static final int CONNECTED = 0xb0;

  private final Runnable interrupt;
  private final Output output;
  private final MemorySegment oneByte = Arena.ofAuto().allocate(1);

  private int interruptEnable;
  private int lineControl = 3; // 8 data bits
  private int modemControl = 1 << 3; // interrupts reach the bus
  private int scratch;
  private int divisor = 12; // 9600 baud
  private boolean fifos;
  private boolean transmitterEmptyPending;
  private int received = -1;

  /**
   * @param interrupt raises an edge on the port's line
   */
  Serial16550(Output output, Runnable interrupt) {
    this.output = output;
    this.interrupt = interrupt;
  }

  /** Reads register {@code offset}, 0 to 7. */
  synchronized int read(int offset) {
    return switch (offset) {
      case DATA -> divisorLatch() ? divisor & 0xff : takeReceived();
      case INTERRUPT_ENABLE -> divisorLatch() ? divisor >> 8 : interruptEnable;
      case INTERRUPT_IDENTIFICATION -> identifyInterrupt();
      case LINE_CONTROL -> lineControl;
      case MODEM_CONTROL -> modemControl;
      case LINE_STATUS -> TRANSMITTER_EMPTY | (received >= 0 ? RECEIVED : 0);
      case MODEM_STATUS -> (modemControl & LOOPBACK) == 0 ? CONNECTED : loopedModemStatus();
      case SCRATCH -> scratch;
      default -> 0xff;
    };
  }

  /**
   * Writes register {@code offset}, 0 to 7.
   *
   * @param bytes one value after the other, as a string instruction has them
   */
  synchronized void write(int offset, MemorySegment bytes) {
    if (offset == DATA && !divisorLatch() && (modemControl & LOOPBACK) == 0) {
      output.write(bytes);
      transmitted();
      return;
    }
    for (byte octet : bytes.toArray(ValueLayout.JAVA_BYTE)) {
      write(offset, Byte.toUnsignedInt(octet));
    }
  }

  /** Writes one byte to register {@code offset}, 0 to 7. */
  synchronized void writeByte(int offset, int value) {
    oneByte.set(ValueLayout.JAVA_BYTE, 0, (byte) value);
    write(offset, oneByte);
  }

  private void write(int offset, int value) {
    boolean before = interruptPending();
    switch (offset) {
      case DATA -> {
        if (divisorLatch()) {
          divisor = (divisor & 0xff00) | value;
        } else {
          received = value;
          transmitted();
        }
      }
      case INTERRUPT_ENABLE -> {
        if (divisorLatch()) {
          divisor = (value << 8) | (divisor & 0xff);
        } else {
          boolean newlyEnabled = (value & ~interruptEnable & ENABLE_TRANSMITTER_EMPTY) != 0;
          interruptEnable = value & ENABLE_MASK;
          transmitterEmptyPending |= newlyEnabled;
        }
      }
      case INTERRUPT_IDENTIFICATION -> { // FIFO control, when written
        fifos = (value & FIFO_ENABLE) != 0;
        if ((value & FIFO_CLEAR_RECEIVER) != 0) {
          received = -1;
        }
      }
      case LINE_CONTROL -> lineControl = value;
      case MODEM_CONTROL -> modemControl = value & MODEM_CONTROL_MASK;
      case SCRATCH -> scratch = value;
      default -> {} // Status registers are read-only.
    }
    raiseIfNew(before);
  }

  private void transmitted() {
    boolean before = interruptPending();
    transmitterEmptyPending = true;
    raiseIfNew(before);
  }

  private void raiseIfNew(boolean pendingBefore) {
    if (!pendingBefore && interruptPending()) {
      interrupt.run();
    }
  }

  private boolean divisorLatch() {
    return (lineControl & DIVISOR_LATCH) != 0;
  }

  private boolean receivedPending() {
    return received >= 0 && (interruptEnable & ENABLE_RECEIVED) != 0;
  }

  private boolean interruptPending() {
    return receivedPending()
        || (transmitterEmptyPending && (interruptEnable & ENABLE_TRANSMITTER_EMPTY) != 0);
  }

  private int takeReceived() {
    int value = Math.max(received, 0);
    received = -1;
    return value;
  }

  /** The highest-ranking condition; naming "transmitter empty" also clears it. */
  private int identifyInterrupt() {
    int identity = fifos ? IDENTIFY_FIFOS : 0;
    if (receivedPending()) {
      return identity | IDENTIFY_RECEIVED;
    }
    if (interruptPending()) {
      transmitterEmptyPending = false;
      return identity | IDENTIFY_TRANSMITTER_EMPTY;
    }
    return identity | IDENTIFY_NONE;
  }

  /**
   * In loopback the four modem outputs are the four inputs: DTR-DSR, RTS-CTS, OUT1-RI, OUT2-DCD.
   */
  private int loopedModemStatus() {
    int dataSetReady = (modemControl & 1) << 5;
    int clearToSend = (modemControl & 2) << 3;
    int ringAndCarrier = (modemControl & 0xc) << 4;
    return dataSetReady | clearToSend | ringAndCarrier;
  }
}
