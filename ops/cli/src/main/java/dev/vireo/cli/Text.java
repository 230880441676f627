package dev.vireo.cli;

import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import java.time.Instant;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Quantities and names as people like to read them. */
public final class Text {
  private Text() {}

  /**
   * {@code 41s}, {@code 12m}, {@code 3h}, {@code 5d}: how long ago; {@code -} for a time not set.
   */
  public static String age(Timestamp then, Instant now) {
    if (then.equals(Timestamp.getDefaultInstance())) {
      return "-";
    }
    long seconds = Math.max(0, now.getEpochSecond() - then.getSeconds());
    if (seconds < 120) {
      return seconds + "s";
    }
    if (seconds < 2 * 3600) {
      return seconds / 60 + "m";
    }
    if (seconds < 2 * 86_400) {
      return seconds / 3600 + "h";
    }
    return seconds / 86_400 + "d";
  }

  /** {@code 256 MiB}, {@code 2 GiB}. */
  public static String mebibytes(long mebibytes) {
    return mebibytes >= 1024 && mebibytes % 1024 == 0
        ? mebibytes / 1024 + " GiB"
        : mebibytes + " MiB";
  }

  /** {@code 2}, {@code 0.5}: CPUs from their thousandths. */
  public static String cpus(long milli) {
    return milli % 1000 == 0
        ? Long.toString(milli / 1000)
        : String.format(Locale.ROOT, "%.1f", milli / 1000.0);
  }

  /** {@code 812 B}, {@code 4.0 KiB}, {@code 12.6 MiB}. */
  public static String bytes(long bytes) {
    if (bytes < 1024) {
      return bytes + " B";
    }
    if (bytes < 1024 * 1024) {
      return String.format(Locale.ROOT, "%.1f KiB", bytes / 1024.0);
    }
    return String.format(Locale.ROOT, "%.1f MiB", bytes / 1024.0 / 1024.0);
  }

  /** {@code 1.25 ms}. */
  public static String milliseconds(long nanoseconds) {
    return String.format(Locale.ROOT, "%.2f ms", nanoseconds / 1e6);
  }

  /** {@code 90s}, {@code 1h}. */
  public static String duration(Duration duration) {
    return duration(java.time.Duration.ofSeconds(duration.getSeconds()));
  }

  /** {@code 90s}, {@code 1h}; a part of a second counts as one. */
  public static String duration(java.time.Duration duration) {
    long seconds = duration.plusNanos(999_999_999).toSeconds();
    if (seconds >= 3600 && seconds % 3600 == 0) {
      return seconds / 3600 + "h";
    }
    if (seconds >= 60 && seconds % 60 == 0) {
      return seconds / 60 + "m";
    }
    return seconds + "s";
  }

  /** {@code key=value,key=value}; {@code -} for none. */
  public static String labels(Map<String, String> labels) {
    return labels.isEmpty()
        ? "-"
        : labels.entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .map(label -> label.getKey() + "=" + label.getValue())
            .collect(Collectors.joining(","));
  }

  /** The lower-case name of an enum value; {@code -} for the unspecified one. */
  public static String lower(Enum<?> value) {
    return value.name().endsWith("UNSPECIFIED")
        ? "-"
        : value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** {@code GuestPowerOff} of {@code GUEST_POWER_OFF}, as conditions write their reasons. */
  public static String camel(Enum<?> value) {
    return Arrays.stream(value.name().split("_", -1))
        .map(word -> word.charAt(0) + word.substring(1).toLowerCase(Locale.ROOT))
        .collect(Collectors.joining());
  }

  /** Without what a terminal would obey, but for ends of lines and tabs. */
  static String harmless(String text) {
    return text.codePoints()
        .map(c -> Character.isISOControl(c) && c != '\n' && c != '\t' ? '?' : c)
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString();
  }

  /** {@code text}, or {@code -} if there is none. */
  public static String orDash(String text) {
    return text.isEmpty() ? "-" : text;
  }
}
