package dev.vireo.catalog;

import java.util.ArrayList;
import java.util.List;

/**
 * The plan of virtio-mmio device slots: slot <i>n</i> to base address, size and interrupt line. A
 * device's slot is its position in the microVM's list of devices, so the same list always makes the
 * same machine.
 */
public final class MmioPlan {
  /**
   * x86-64: one page each from 3.25 GiB, in the gap that RAM leaves below 4 GiB. No two slots share
   * a line: an edge-triggered line that is shared needs every driver to look at its device on every
   * interrupt.
   */
  public static final MmioPlan X86_64 =
      new MmioPlan(
          0xd000_0000L,
          0x1000,
          // Upwards from 5, past the RTC (8) and ACPI's SCI (9) to the IOAPIC's last pin; then the
          // lines of the
          // second serial port and the keyboard, which this machine does not have.
          new int[] {5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 3, 1});

  /** arm64: one page each below the RAM, with the 32 SPIs from 16 on. */
  public static final MmioPlan ARM64 = new MmioPlan(0x0a00_0000L, 0x1000, consecutive(16, 32));

  private final List<DeviceSlot> slots;

  private MmioPlan(long base, long slotSize, int[] gsis) {
    List<DeviceSlot> made = new ArrayList<>(gsis.length);
    for (int i = 0; i < gsis.length; i++) {
      made.add(new DeviceSlot(i, base + i * slotSize, slotSize, gsis[i]));
    }
    this.slots = List.copyOf(made);
  }

  private static int[] consecutive(int first, int count) {
    int[] gsis = new int[count];
    for (int i = 0; i < count; i++) {
      gsis[i] = first + i;
    }
    return gsis;
  }

  /** The most devices a machine can have. */
  public int capacity() {
    return slots.size();
  }

  /**
   * The slot of the device at {@code index}.
   *
   * @throws IndexOutOfBoundsException unless {@code 0 <= index < capacity()}
   */
  public DeviceSlot slot(int index) {
    return slots.get(index);
  }

  /**
   * The slots of the first {@code count} devices.
   *
   * @throws IndexOutOfBoundsException unless {@code 0 <= count <= capacity()}
   */
  public List<DeviceSlot> first(int count) {
    return slots.subList(0, count);
  }
}
