package dev.vireo.images;

import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Numbers of bytes as people write them: in units of 1024. */
final class ByteSize {
  private static final String UNITS = "KMGT";
  private static final Pattern FORM = Pattern.compile("(\\d{1,12})(?:([KMGT])(?:iB)?)?");

  private ByteSize() {}

  /** For example 2G, 2GiB, 500M, 4096; nothing if it is not written so, or too large. */
  static Optional<Long> parse(String text) {
    Matcher matcher = FORM.matcher(text);
    if (!matcher.matches()) {
      return Optional.empty();
    }
    int power = matcher.group(2) == null ? 0 : UNITS.indexOf(matcher.group(2)) + 1;
    long number = Long.parseLong(matcher.group(1));
    return number <= Long.MAX_VALUE >> (10 * power)
        ? Optional.of(number << (10 * power))
        : Optional.empty();
  }

  /** For people, for example 1.5 GiB. */
  static String text(long bytes) {
    double value = bytes / 1024.0;
    int unit = 0;
    while (value >= 1024 && unit < UNITS.length() - 1) {
      value /= 1024;
      unit++;
    }
    return String.format(Locale.ROOT, "%.1f %ciB", value, UNITS.charAt(unit));
  }
}
