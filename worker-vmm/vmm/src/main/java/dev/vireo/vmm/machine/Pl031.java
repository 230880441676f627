package dev.vireo.vmm.machine;

import java.time.InstantSource;

/**
 * An ARM PrimeCell real-time clock (PL031, ARM DDI 0224): the seconds since 1970, of which the
 * guest may set its own count. It has no alarm.
 */
final class Pl031 implements MmioBus.Registers {
  private static final int DATA = 0x000;
  private static final int MATCH = 0x004;
  private static final int LOAD = 0x008;
  private static final int CONTROL = 0x00c;

  /** PeriphID0 to 3 and PCellID0 to 3, a byte in each 32-bit register. */
  private static final int IDENTIFICATION = 0xfe0;

  private static final int[] IDENTITY = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

  private static final int STARTED = 1;

  private final InstantSource time;
  private long secondsAhead;
  private int match;

  Pl031(InstantSource time) {
    this.time = time;
  }

  @Override
  public synchronized long read(int offset, int width) {
    if (offset >= IDENTIFICATION) {
      return IDENTITY[(offset - IDENTIFICATION) / 4 % IDENTITY.length];
    }
    return switch (offset) {
      case DATA -> Integer.toUnsignedLong((int) now());
      case MATCH -> Integer.toUnsignedLong(match);
      case LOAD -> Integer.toUnsignedLong((int) now());
      case CONTROL -> STARTED;
      default -> 0; // Interrupts: none is ever pending.
    };
  }

  @Override
  public synchronized void write(int offset, int width, long value) {
    switch (offset) {
      case MATCH -> match = (int) value;
      case LOAD -> secondsAhead = value - time.instant().getEpochSecond();
      default -> {} // Read-only, or about the interrupt.
    }
  }

  private long now() {
    return time.instant().getEpochSecond() + secondsAhead;
  }
}
