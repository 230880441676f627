package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Instant;
import org.junit.jupiter.api.Test;

final class CmosClockTest {
  private Instant now = Instant.parse("2026-11-22T23:59:58Z");
  private final CmosClock clock = new CmosClock(() -> now);

  private int read(int register) {
    clock.select(register);
    return clock.read();
  }

  @Test
  void tellsTheTimeInDecimalDigits() {
    assertEquals(0x58, read(0x00));
    assertEquals(0x59, read(0x02));
    assertEquals(0x23, read(0x04));
    assertEquals(1, read(0x06), "a Sunday");
    assertEquals(0x22, read(0x07));
    assertEquals(0x11, read(0x08));
    assertEquals(0x26, read(0x09));
    assertEquals(0x20, read(0x32));
  }

  @Test
  void tellsItInBinaryIfAsked() {
    clock.select(0x0b);
    clock.write(0x06);
    assertEquals(58, read(0x00));
    assertEquals(26, read(0x09));
  }

  @Test
  void goesOn() {
    now = now.plusSeconds(3);
    assertEquals(0x01, read(0x00));
    assertEquals(0x23, read(0x07));
    assertEquals(2, read(0x06));
  }

  @Test
  void isValidAndNeverUpdating() {
    assertEquals(0, read(0x0a) & 0x80);
    assertEquals(0x02, read(0x0b), "24 hours, decimal digits");
    assertEquals(0, read(0x0c));
    assertEquals(0x80, read(0x0d));
  }

  @Test
  void theTimeCannotBeSetAndOtherCellsCan() {
    clock.select(0x00);
    clock.write(0x11);
    assertEquals(0x58, read(0x00));
    clock.select(0x80 | 0x40);
    clock.write(0x7e);
    assertEquals(0x7e, read(0x40), "the NMI bit is no part of the index");
  }
}
