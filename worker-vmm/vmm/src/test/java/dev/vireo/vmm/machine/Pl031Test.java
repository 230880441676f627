package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Instant;
import org.junit.jupiter.api.Test;

final class Pl031Test {
  private static final int DATA = 0x00;
  private static final int LOAD = 0x08;

  private Instant now = Instant.ofEpochSecond(1_800_000_000);
  private final Pl031 clock = new Pl031(() -> now);

  @Test
  void tellsTheSecondsSince1970() {
    assertEquals(1_800_000_000, clock.read(DATA, 4));
    now = now.plusSeconds(3);
    assertEquals(1_800_000_003, clock.read(DATA, 4));
  }

  /** Its register has 32 bits without a sign. */
  @Test
  void tellsThemAfter2038() {
    now = Instant.ofEpochSecond(0x8000_0001L);
    assertEquals(0x8000_0001L, clock.read(DATA, 4));
  }

  @Test
  void theGuestMaySetIt() {
    clock.write(LOAD, 4, 1_000);
    now = now.plusSeconds(5);
    assertEquals(1_005, clock.read(DATA, 4));
  }

  /** As the primecell bus wants to read it: part 0x031, designer 0x41, cell 0xb105f00d. */
  @Test
  void saysWhatItIs() {
    int part = 0;
    int cell = 0;
    for (int i = 0; i < 4; i++) {
      part |= (int) clock.read(0xfe0 + 4 * i, 4) << (8 * i);
      cell |= (int) clock.read(0xff0 + 4 * i, 4) << (8 * i);
    }
    assertEquals(0x0004_1031, part);
    assertEquals(0xb105_f00d, cell);
  }

  @Test
  void neverInterrupts() {
    clock.write(0x04, 4, 1);
    clock.write(0x10, 4, 1);
    assertEquals(0, clock.read(0x14, 4));
    assertEquals(0, clock.read(0x18, 4));
  }
}
