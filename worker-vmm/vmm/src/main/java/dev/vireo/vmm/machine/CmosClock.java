package dev.vireo.vmm.machine;

import java.time.InstantSource;
import java.time.LocalDateTime;
import java.time.ZoneOffset;

/**
 * The real-time clock of a PC (Motorola MC146818) at ports 0x70 and 0x71: the host's time in UTC.
 * The guest's writes to the time are ignored; alarm and periodic interrupts never come.
 */
final class CmosClock {
  static final int INDEX_PORT = 0x70;
  static final int DATA_PORT = 0x71;

  private static final int SECONDS = 0x00;
  private static final int MINUTES = 0x02;
  private static final int HOURS = 0x04;
  private static final int DAY_OF_WEEK = 0x06;
  private static final int DAY = 0x07;
  private static final int MONTH = 0x08;
  private static final int YEAR = 0x09;
  private static final int STATUS_A = 0x0a;
  private static final int STATUS_B = 0x0b;
  private static final int STATUS_C = 0x0c;
  private static final int STATUS_D = 0x0d;
  private static final int CENTURY = 0x32;
  private static final int CELLS = 128;

  /** 32,768 Hz time base, 1,024 Hz rate, no update in progress. */
  private static final int A_RUNNING = 0x26;

  private static final int B_24_HOURS = 1 << 1;
  private static final int B_BINARY = 1 << 2;

  /** Battery is good. */
  private static final int D_VALID = 1 << 7;

  private final InstantSource time;
  private final byte[] cells = new byte[CELLS];
  private int index;

  CmosClock(InstantSource time) {
    this.time = time;
    cells[STATUS_B] = B_24_HOURS;
  }

  /** The top bit of the index masks NMIs on a PC, and nothing here. */
  synchronized void select(int value) {
    index = value & (CELLS - 1);
  }

  synchronized int read() {
    return switch (index) {
      case SECONDS -> number(now().getSecond());
      case MINUTES -> number(now().getMinute());
      case HOURS -> number(now().getHour());
      case DAY_OF_WEEK -> number(now().getDayOfWeek().getValue() % 7 + 1);
      case DAY -> number(now().getDayOfMonth());
      case MONTH -> number(now().getMonthValue());
      case YEAR -> number(now().getYear() % 100);
      case CENTURY -> number(now().getYear() / 100);
      case STATUS_A -> A_RUNNING;
      case STATUS_C -> 0;
      case STATUS_D -> D_VALID;
      default -> Byte.toUnsignedInt(cells[index]);
    };
  }

  synchronized void write(int value) {
    cells[index] = (byte) value;
  }

  private LocalDateTime now() {
    return LocalDateTime.ofInstant(time.instant(), ZoneOffset.UTC);
  }

  /** Binary or binary-coded decimal, as status B says. */
  private int number(int value) {
    return (cells[STATUS_B] & B_BINARY) != 0 ? value : ((value / 10) << 4) | (value % 10);
  }
}
