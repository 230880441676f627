package dev.vireo.cli;

import dev.vireo.proto.v1.ExitEvent;
import dev.vireo.proto.v1.GuestAccess;
import dev.vireo.proto.v1.IoEvent;
import dev.vireo.proto.v1.TraceRecord;
import java.util.Locale;

/**
 * What a VMM did, a line each: when it began, in seconds since the first; how long it took; whose
 * it was; and what.
 */
final class TraceView {
  private boolean begun;
  private long firstNanos;

  String line(TraceRecord record) {
    if (!begun) {
      begun = true;
      firstNanos = record.getTimeNs();
    }
    String took = record.hasDurationNs() ? duration(record.getDurationNs()) : "-";
    double seconds = (record.getTimeNs() - firstNanos) / 1e9;
    return switch (record.getEventCase()) {
      case EXIT -> line(seconds, took, "vcpu" + record.getExit().getVcpu(), exit(record.getExit()));
      case IO ->
          line(
              seconds,
              took,
              record.getIo().getDevice() + "/" + record.getIo().getQueue(),
              io(record.getIo()));
      case EVENT_NOT_SET -> line(seconds, took, "-", "something that this command does not know");
    };
  }

  private static String line(double seconds, String took, String where, String what) {
    return String.format(Locale.ROOT, "%12.6f  %9s  %-12s  %s", seconds, took, where, what);
  }

  static String dropped(long records) {
    return String.format(Locale.ROOT, "%12s  %,d left out: too many to be read", "...", records);
  }

  /** {@code 850 ns}, {@code 18.2 us}, {@code 1.25 ms}, {@code 2.00 s}. */
  static String duration(long nanos) {
    if (nanos < 1_000) {
      return nanos + " ns";
    }
    if (nanos < 1_000_000) {
      return String.format(Locale.ROOT, "%.1f us", nanos / 1e3);
    }
    return nanos < 1_000_000_000
        ? Text.milliseconds(nanos)
        : String.format(Locale.ROOT, "%.2f s", nanos / 1e9);
  }

  private static String exit(ExitEvent exit) {
    if (!exit.hasAccess()) {
      return exit.getCause();
    }
    GuestAccess access = exit.getAccess();
    String where =
        access.getRegister().isEmpty()
            ? "0x%x".formatted(access.getAddress())
            : access.getDevice() + " " + access.getRegister();
    return access.getWrite()
        ? "%s  write  %s = 0x%x".formatted(exit.getCause(), where, access.getValue())
        : "%s  read   %s: 0x%x".formatted(exit.getCause(), where, access.getValue());
  }

  private static String io(IoEvent io) {
    StringBuilder text = new StringBuilder(io.getKind());
    if (io.getBytes() != 0) {
      text.append("  ").append(Text.bytes(io.getBytes()));
    }
    if (io.hasOffset()) {
      text.append(" at 0x").append(Long.toHexString(io.getOffset()));
    }
    if (!io.getResult().equals("ok")) {
      text.append("  ").append(io.getResult());
    }
    return text.toString();
  }
}
