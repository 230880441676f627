package dev.vireo.vmm.machine;

import java.util.Map;

/**
 * How often a vCPU came back to user space, by cause. Only the vCPU's thread counts; whoever reads
 * may be a moment behind.
 */
@SuppressWarnings("EnumOrdinal") // The ordinal is an index here and never leaves the class.
final class ExitCounters {
  /** Why it came back. A device's transport counts its registers one by one besides. */
  enum Cause {
    INTERRUPTED("interrupted"),
    HLT("hlt"),
    PIO_SERIAL("pio.serial"),
    PIO_CMOS("pio.cmos"),
    PIO_KEYBOARD("pio.i8042"),
    PIO_POWER("pio.power"),
    PIO_RESET("pio.reset"),
    PIO_DELAY("pio.0x80"),
    PIO_UNASSIGNED("pio.unassigned"),
    MMIO_DEVICE("mmio.device"),
    MMIO_UNASSIGNED("mmio.unassigned"),
    MMIO_SERIAL("mmio.serial"),
    MMIO_RTC("mmio.rtc"),
    MMIO_POWER_BUTTON("mmio.power"),
    PSCI("psci"),
    SHUTDOWN("shutdown"),
    FAILURE("failure"),
    OTHER("other");

    private static final Cause[] ALL = values();

    private final String label;

    Cause(String label) {
      this.label = label;
    }

    /** The name in inspections and metrics. */
    String label() {
      return label;
    }

    static Cause of(int ordinal) {
      return ALL[ordinal];
    }
  }

  private final long[] counts = new long[Cause.values().length];
  private Cause last = Cause.OTHER;

  void count(Cause cause) {
    counts[cause.ordinal()]++;
    last = cause;
  }

  /** That which was counted last; for the vCPU's thread. */
  Cause last() {
    return last;
  }

  long total() {
    long total = 0;
    for (long count : counts) {
      total += count;
    }
    return total;
  }

  /** Adds every cause that occurred to {@code sums}. */
  void addTo(Map<Cause, Long> sums) {
    for (Cause cause : Cause.values()) {
      long count = counts[cause.ordinal()];
      if (count > 0) {
        sums.merge(cause, count, Long::sum);
      }
    }
  }
}
