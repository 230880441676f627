package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** As ACPICA drives it. */
final class PowerManagementTest {
  private static final int STATUS = 0x600;
  private static final int ENABLE = 0x602;
  private static final int CONTROL = 0x604;
  private static final int POWER_BUTTON = 0x100;

  private final List<Boolean> sci = new ArrayList<>();
  private boolean off;
  private final PowerManagement power = new PowerManagement(sci::add, () -> off = true);

  @Test
  void powerButtonRaisesTheLineUntilItsStatusIsCleared() {
    power.write(ENABLE, 2, POWER_BUTTON);
    assertEquals(List.of(), sci);
    power.pressPowerButton();
    assertEquals(List.of(true), sci);
    assertEquals(POWER_BUTTON, power.read(STATUS, 2));
    power.pressPowerButton();
    assertEquals(List.of(true), sci, "it is up already");
    power.write(STATUS, 2, POWER_BUTTON);
    assertEquals(List.of(true, false), sci);
    assertEquals(0, power.read(STATUS, 2));
  }

  @Test
  void anEventThatIsNotEnabledIsSeenOnceItIs() {
    power.pressPowerButton();
    assertEquals(List.of(), sci);
    power.write(ENABLE, 2, POWER_BUTTON);
    assertEquals(List.of(true), sci);
    power.write(ENABLE, 2, 0);
    assertEquals(List.of(true, false), sci);
  }

  @Test
  void enableReadsBackWhatExists() {
    power.write(ENABLE, 2, 0xffff);
    assertEquals(0x520, power.read(ENABLE, 2), "global lock, power button, real-time clock");
  }

  @Test
  void bytesAndDoubleWordsReachTheRegistersTheyCover() {
    power.pressPowerButton();
    power.write(STATUS, 4, (long) POWER_BUTTON << 16 | 0);
    assertEquals(POWER_BUTTON, power.read(ENABLE, 2));
    assertEquals(1, power.read(STATUS + 1, 1), "the button's bit in the upper byte");
    assertEquals((long) POWER_BUTTON << 16 | POWER_BUTTON, power.read(STATUS, 4));
    power.write(STATUS + 1, 1, 1);
    assertEquals(0, power.read(STATUS, 2));
    assertEquals(POWER_BUTTON, power.read(ENABLE, 2), "the other register is untouched");
  }

  @Test
  void sleepTypeAndEnablePowerOff() {
    assertEquals(1, power.read(CONTROL, 2), "in ACPI mode");
    power.write(CONTROL, 2, 1);
    assertFalse(off);
    power.write(CONTROL, 2, 0x2001);
    assertTrue(off);
    assertEquals(1, power.read(CONTROL, 2), "sleep enable reads zero");
  }

  @Test
  void powersOffByASingleByteToo() {
    power.write(CONTROL + 1, 1, 0x20);
    assertTrue(off);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 7})
  void otherSleepStatesDoNotExist(int type) {
    power.write(CONTROL, 2, 0x2000 | type << 10);
    assertFalse(off);
    assertEquals(type << 10 | 1, power.read(CONTROL, 2));
  }
}
