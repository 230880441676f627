package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** As Linux's 8250 driver sees it. */
final class Serial16550Test {
  private static final int DATA = 0;
  private static final int IER = 1;
  private static final int IIR = 2;
  private static final int LCR = 3;
  private static final int MCR = 4;
  private static final int LSR = 5;
  private static final int MSR = 6;
  private static final int SCR = 7;

  private final StringBuilder printed = new StringBuilder();
  private int interrupts;
  private final Serial16550 serial =
      new Serial16550(
          bytes ->
              printed.append(
                  new String(bytes.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.ISO_8859_1)),
          () -> interrupts++);

  private void write(int register, int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    serial.write(register, MemorySegment.ofArray(bytes));
  }

  @Test
  void printsByteByByteAndInStrings() {
    write(DATA, 'a');
    write(DATA, 'b', 'c', '\n');
    assertEquals("abc\n", printed.toString());
    assertEquals(0x60, serial.read(LSR), "always ready for more");
    assertEquals(0, interrupts);
  }

  /** serial8250_startup and autoconfig: what tells a 16550A from nothing and from older chips. */
  @Test
  void isFoundByAutoconfiguration() {
    write(IER, 0x0f);
    assertEquals(0x0f, serial.read(IER));
    write(IER, 0);
    assertEquals(0, serial.read(IER));
    write(MCR, 0x10 | 0x0a);
    assertEquals(0x90, serial.read(MSR) & 0xf0, "loopback");
    write(MCR, 0);
    write(IIR, 1);
    assertEquals(0xc0, serial.read(IIR) & 0xc0, "FIFOs of a 16550A");
    write(SCR, 0x5a);
    assertEquals(0x5a, serial.read(SCR));
  }

  @Test
  void divisorLatchHidesDataAndInterruptEnable() {
    write(LCR, 0x83);
    write(DATA, 1);
    write(IER, 2);
    assertEquals(1, serial.read(DATA));
    assertEquals(2, serial.read(IER));
    write(LCR, 0x03);
    assertEquals(0, serial.read(IER));
    assertEquals("", printed.toString());
  }

  @Test
  void enablingTheTransmitterInterruptRaisesIt() {
    write(IER, 2);
    assertEquals(1, interrupts);
    assertEquals(2, serial.read(IIR), "transmitter empty");
    assertEquals(1, serial.read(IIR), "named once, it is gone");
  }

  @Test
  void everyBatchOfBytesRaisesOneEdgeThatIsNotLost() {
    write(IER, 2);
    serial.read(IIR);
    write(DATA, 'x');
    write(DATA, 'y');
    assertEquals(2, interrupts, "no second edge while one is pending");
    assertEquals(2, serial.read(IIR));
    write(DATA, 'z');
    assertEquals(3, interrupts);
  }

  @Test
  void writingTheSameEnableAgainRaisesNothing() {
    write(IER, 2);
    serial.read(IIR);
    write(IER, 2);
    assertEquals(1, interrupts);
    write(IER, 0);
    write(IER, 2);
    assertEquals(2, interrupts);
  }

  @Test
  void loopedBackByteIsReceivedAndNotPrinted() {
    write(IER, 1);
    write(MCR, 0x10);
    write(DATA, 'q');
    assertEquals("", printed.toString());
    assertEquals(1, interrupts);
    assertEquals(0x61, serial.read(LSR));
    assertEquals(4, serial.read(IIR) & 0xf);
    assertEquals('q', serial.read(DATA));
    assertEquals(0x60, serial.read(LSR));
    assertEquals(1, serial.read(IIR) & 0xf);
  }

  @Test
  void receiverCanBeCleared() {
    write(MCR, 0x10);
    write(DATA, 'q');
    write(IIR, 1 | 2);
    assertEquals(0x60, serial.read(LSR));
    assertEquals(0, serial.read(DATA));
  }

  @Test
  void statusRegistersAreReadOnly() {
    write(LSR, 0);
    write(MSR, 0);
    assertEquals(0x60, serial.read(LSR));
    assertTrue((serial.read(MSR) & 0xb0) == 0xb0, "connected");
  }
}
