package dev.vireo.cli;

import dev.vireo.proto.v1.Disk;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How option values are written. */
final class Converters {
  private Converters() {}

  /** {@code 90s}, {@code 5m}, {@code 1h30m}, {@code 500ms}, {@code 2d}. */
  static final class Time implements ITypeConverter<Duration> {
    private static final Pattern WHOLE = Pattern.compile("(\\d+(ms|s|m|h|d))+");
    private static final Pattern PART = Pattern.compile("(\\d+)(ms|s|m|h|d)");

    @Override
    public Duration convert(String text) {
      if (!WHOLE.matcher(text).matches()) {
        throw new TypeConversionException(
            "'%s' is not a time; write 90s, 5m or 1h30m".formatted(text));
      }
      try {
        Duration sum = Duration.ZERO;
        for (Matcher part = PART.matcher(text); part.find(); ) {
          long count = Long.parseLong(part.group(1));
          sum =
              switch (part.group(2)) {
                case "ms" -> sum.plusMillis(count);
                case "s" -> sum.plusSeconds(count);
                case "m" -> sum.plusMinutes(count);
                case "h" -> sum.plusHours(count);
                default -> sum.plusDays(count);
              };
        }
        return sum;
      } catch (ArithmeticException | NumberFormatException e) {
        throw new TypeConversionException("'%s' is too long a time".formatted(text));
      }
    }
  }

  /** Mebibytes: {@code 256}, {@code 256M}, {@code 256MiB}, {@code 2G}, {@code 2GiB}. */
  static final class Memory implements ITypeConverter<Long> {
    private static final Pattern FORM = Pattern.compile("(\\d{1,15})(M|MiB|G|GiB)?");

    @Override
    public Long convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'%s' is not a size; write 256 (MiB), 256M or 2G".formatted(text));
      }
      String unit = matcher.group(2);
      return Long.parseLong(matcher.group(1)) * (unit != null && unit.startsWith("G") ? 1024 : 1);
    }
  }

  /** {@code [ID=]SOURCE[,ro]}. Without an id the disk has the empty one; the command numbers it. */
  static final class DiskForm implements ITypeConverter<Disk> {
    private static final Pattern FORM = Pattern.compile("(?:([a-z][-a-z0-9]*)=)?(.+?)(,ro)?");

    @Override
    public Disk convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'%s' is not a disk; write [ID=]SOURCE[,ro]".formatted(text));
      }
      Disk.Builder disk =
          Disk.newBuilder().setSource(matcher.group(2)).setReadOnly(matcher.group(3) != null);
      if (matcher.group(1) != null) {
        disk.setId(matcher.group(1));
      }
      return disk.build();
    }
  }
}
