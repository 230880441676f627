package dev.vireo.catalog;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class MmioPlanTest {
  private final List<DeviceSlot> slots = MmioPlan.X86_64.first(MmioPlan.X86_64.capacity());

  @Test
  void firstSlotIsWhereFirecrackerPutsIt() {
    assertEquals(new DeviceSlot(0, 0xd000_0000L, 0x1000, 5), MmioPlan.X86_64.slot(0));
  }

  @Test
  void holdsSixteenDisksAndMore() {
    assertTrue(slots.size() > 16, "capacity " + slots.size());
  }

  @Test
  void slotsAreAdjacentPages() {
    for (DeviceSlot slot : slots) {
      assertEquals(0xd000_0000L + slot.index() * 0x1000L, slot.base());
      assertEquals(0x1000, slot.size());
    }
  }

  @Test
  void everySlotHasItsOwnLineWhichNothingElseUses() {
    Set<Integer> used = new HashSet<>(Set.of(0, 2, X86Platform.SERIAL_GSI, 8, X86Platform.SCI_GSI));
    for (DeviceSlot slot : slots) {
      assertTrue(used.add(slot.gsi()), "GSI " + slot.gsi() + " is taken");
      assertTrue(slot.gsi() < X86Platform.IOAPIC_PINS, "GSI " + slot.gsi());
    }
  }

  @Test
  void staysClearOfMemoryAndInterruptControllers() {
    long end = slots.getLast().base() + slots.getLast().size();
    assertTrue(slots.getFirst().base() >= 3L << 30);
    assertFalse(end > X86Platform.IOAPIC_BASE);
  }

  @Test
  void onArm64EverySlotIsBelowTheMemoryAndHasItsOwnSharedInterrupt() {
    Set<Integer> used =
        new HashSet<>(Set.of(Arm64Platform.SERIAL_GSI, Arm64Platform.POWER_BUTTON.gsi()));
    for (DeviceSlot slot : MmioPlan.ARM64.first(MmioPlan.ARM64.capacity())) {
      assertEquals(0x0a00_0000L + slot.index() * 0x1000L, slot.base());
      assertTrue(slot.base() + slot.size() <= Arm64Platform.REDISTRIBUTORS_BASE);
      assertTrue(used.add(slot.gsi()), "SPI " + slot.gsi() + " is taken");
      assertTrue(slot.gsi() < Arm64Platform.INTERRUPTS - 32, "SPI " + slot.gsi());
    }
  }

  @Test
  void refusesAnIndexOutsideThePlan() {
    assertThrows(IndexOutOfBoundsException.class, () -> MmioPlan.X86_64.slot(slots.size()));
    assertThrows(IndexOutOfBoundsException.class, () -> MmioPlan.X86_64.slot(-1));
    assertThrows(IndexOutOfBoundsException.class, () -> MmioPlan.X86_64.first(slots.size() + 1));
  }
}
