package dev.vireo.vmm.machine;

import static dev.vireo.catalog.X86Platform.PM1A_CONTROL_PORT;
import static dev.vireo.catalog.X86Platform.PM1A_EVENT_PORT;
import static dev.vireo.catalog.X86Platform.PM1_GLOBAL_LOCK;
import static dev.vireo.catalog.X86Platform.PM1_POWER_BUTTON;
import static dev.vireo.catalog.X86Platform.PM1_SCI_ENABLE;
import static dev.vireo.catalog.X86Platform.PM1_SLEEP_ENABLE;
import static dev.vireo.catalog.X86Platform.PM1_SLEEP_TYPE_SHIFT;
import static dev.vireo.catalog.X86Platform.S5_SLEEP_TYPE;

/**
 * ACPI's fixed hardware (ACPI 6.3, section 4.8.3) as {@link dev.vireo.catalog.X86Platform} lays it
 * out: a power button, by which the guest is asked to power off, and the control register by which
 * it does.
 */
final class PowerManagement {
  /** The first port after its registers. */
  static final int PORTS_END = PM1A_CONTROL_PORT + 2;

  /** RTC_EN: Linux's RTC driver enables it and complains if it does not read back. */
  private static final int REAL_TIME_CLOCK = 1 << 10;

  /** Events that can be enabled; only the power button ever happens. */
  private static final int EVENTS = PM1_GLOBAL_LOCK | PM1_POWER_BUTTON | REAL_TIME_CLOCK;

  private static final int SLEEP_TYPE = 7 << PM1_SLEEP_TYPE_SHIFT;

  /** Each register has 16 bits: status, enable, control. */
  private static final int REGISTER = 0xffff;

  private static final int ENABLE_SHIFT = 16;
  private static final int CONTROL_SHIFT = 8 * (PM1A_CONTROL_PORT - PM1A_EVENT_PORT);

  /** The system control interrupt's line, which is level-triggered. */
  interface InterruptLine {
    void set(boolean high);
  }

  private final InterruptLine sci;
  private final Runnable powerOff;

  private int status;
  private int enable;
  private int control = PM1_SCI_ENABLE;
  private boolean sciHigh;

  PowerManagement(InterruptLine sci, Runnable powerOff) {
    this.sci = sci;
    this.powerOff = powerOff;
  }

  /** Asks the guest to power off. One that has not enabled the event does not notice. */
  synchronized void pressPowerButton() {
    status |= PM1_POWER_BUTTON;
    updateSci();
  }

  /** Reads {@code width} bytes at a port of its own. */
  synchronized long read(int port, int width) {
    long registers = ((long) control << CONTROL_SHIFT) | ((long) enable << ENABLE_SHIFT) | status;
    return (registers >>> shift(port)) & mask(width);
  }

  /** Writes {@code width} bytes: each register sees those that are its own. */
  synchronized void write(int port, int width, long value) {
    long bits = value << shift(port);
    long written = mask(width) << shift(port);
    status &= (int) ~(bits & written & REGISTER);
    enable = merged(enable, bits >>> ENABLE_SHIFT, written >>> ENABLE_SHIFT) & EVENTS;
    updateSci();
    if (written >>> CONTROL_SHIFT != 0) {
      writeControl(merged(control, bits >>> CONTROL_SHIFT, written >>> CONTROL_SHIFT));
    }
  }

  /** How far a port is into the registers, seen as one little-endian number. */
  private static int shift(int port) {
    return 8 * (port - PM1A_EVENT_PORT);
  }

  private static long mask(int width) {
    return (1L << (8 * width)) - 1;
  }

  private static int merged(int register, long bits, long written) {
    int mask = (int) written & REGISTER;
    return (register & ~mask) | ((int) bits & mask);
  }

  private void writeControl(int value) {
    control = (value & SLEEP_TYPE) | PM1_SCI_ENABLE;
    boolean sleep = (value & PM1_SLEEP_ENABLE) != 0;
    // The other sleep types mean states that this machine does not have.
    if (sleep && (value & SLEEP_TYPE) >> PM1_SLEEP_TYPE_SHIFT == S5_SLEEP_TYPE) {
      powerOff.run();
    }
  }

  private void updateSci() {
    boolean high = (status & enable) != 0;
    if (high != sciHigh) {
      sciHigh = high;
      sci.set(high);
    }
  }
}
