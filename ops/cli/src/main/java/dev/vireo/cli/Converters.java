package dev.vireo.cli;

import dev.vireo.proto.v1.Balloon;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.MemoryHotplug;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.RateLimit;
import dev.vireo.proto.v1.TokenBucket;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How option values are written. */
final class Converters {
  private static final Pattern RATE = Pattern.compile("(\\d{1,9})(K|M|G)?");

  private Converters() {}

  /** As requests have it. */
  static com.google.protobuf.Duration proto(Duration duration) {
    return com.google.protobuf.Duration.newBuilder()
        .setSeconds(duration.toSeconds())
        .setNanos(duration.toNanosPart())
        .build();
  }

  /** Bytes a second. */
  private static RateLimit bandwidth(String value) {
    return RateLimit.newBuilder().setBandwidth(perSecond(bytes(value))).build();
  }

  /** So many a second, of which one second's may come at once. */
  private static TokenBucket perSecond(long amount) {
    return TokenBucket.newBuilder().setCapacity(amount).setRefillPerSecond(amount).build();
  }

  private static long bytes(String value) {
    Matcher matcher = RATE.matcher(value);
    if (!matcher.matches()) {
      throw new TypeConversionException(
          "'%s' is not a rate; write bytes a second: 500K, 10M, 1G".formatted(value));
    }
    String unit = matcher.group(2);
    int shift = unit == null ? 0 : 10 * ("KMG".indexOf(unit) + 1);
    return Long.parseLong(matcher.group(1)) << shift;
  }

  private static int number(String value) {
    try {
      return Integer.parseInt(value);
    } catch (NumberFormatException e) {
      throw new TypeConversionException("'%s' is not a number".formatted(value));
    }
  }

  /** {@code 90s}, {@code 5m}, {@code 1h30m}, {@code 500ms}, {@code 50us}, {@code 2d}. */
  static final class Time implements ITypeConverter<Duration> {
    private static final Pattern WHOLE = Pattern.compile("(\\d+(us|ms|s|m|h|d))+");
    private static final Pattern PART = Pattern.compile("(\\d+)(us|ms|s|m|h|d)");

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
                case "us" -> sum.plus(count, ChronoUnit.MICROS);
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

  /** A number of 32 bits, unsigned. */
  static final class ContextId implements ITypeConverter<Integer> {
    @Override
    public Integer convert(String text) {
      try {
        return Integer.parseUnsignedInt(text);
      } catch (NumberFormatException e) {
        throw new TypeConversionException("'%s' is not a context id".formatted(text));
      }
    }
  }

  /** {@code SIZE[,statistics=TIME][,deflate-on-oom][,reporting]}. */
  static final class BalloonForm implements ITypeConverter<Balloon> {
    static final String LABEL = "SIZE[,statistics=TIME][,deflate-on-oom][,reporting]";

    private static final String STATISTICS = "statistics=";

    @Override
    public Balloon convert(String text) {
      String[] parts = text.split(",", -1);
      Balloon.Builder balloon = Balloon.newBuilder().setTargetMib(new Memory().convert(parts[0]));
      for (int i = 1; i < parts.length; i++) {
        set(balloon, parts[i]);
      }
      return balloon.build();
    }

    private static void set(Balloon.Builder balloon, String property) {
      if (property.equals("deflate-on-oom")) {
        balloon.setDeflateOnOom(true);
      } else if (property.equals("reporting")) {
        balloon.setFreePageReporting(true);
      } else if (property.startsWith(STATISTICS)) {
        Duration interval = new Time().convert(property.substring(STATISTICS.length()));
        balloon.setStatisticsInterval(proto(interval));
      } else {
        throw new TypeConversionException(
            "'%s' is no property of a balloon; write %s".formatted(property, LABEL));
      }
    }
  }

  /** {@code MAXIMUM[,size=SIZE][,block=SIZE]}. */
  static final class MemoryHotplugForm implements ITypeConverter<MemoryHotplug> {
    static final String LABEL = "MAXIMUM[,size=SIZE][,block=SIZE]";

    private static final String SIZE = "size=";
    private static final String BLOCK = "block=";

    @Override
    public MemoryHotplug convert(String text) {
      String[] parts = text.split(",", -1);
      Memory memory = new Memory();
      MemoryHotplug.Builder hotplug =
          MemoryHotplug.newBuilder().setMaximumMib(memory.convert(parts[0]));
      for (int i = 1; i < parts.length; i++) {
        if (parts[i].startsWith(SIZE)) {
          hotplug.setSizeMib(memory.convert(parts[i].substring(SIZE.length())));
        } else if (parts[i].startsWith(BLOCK)) {
          long block = memory.convert(parts[i].substring(BLOCK.length()));
          // What is too large for the field is too large for the server as well.
          hotplug.setBlockMib((int) Math.min(block, Integer.MAX_VALUE));
        } else {
          throw new TypeConversionException(
              "'%s' is no property of pluggable memory; write %s".formatted(parts[i], LABEL));
        }
      }
      return hotplug.build();
    }
  }

  /**
   * {@code [ID=]SOURCE}, then properties: {@code ,ro}, {@code ,direct}, {@code ,queues=2}, {@code
   * ,rate=10M}, {@code ,iops=500}, {@code ,back-end=blk/file}. What is not one of these belongs to
   * the source. Without an id the disk has the empty one; the command numbers it.
   */
  static final class DiskForm implements ITypeConverter<Disk> {
    static final String LABEL = "[ID=]SOURCE[,ro][,direct][,KEY=VALUE...]";

    private static final Pattern FORM =
        Pattern.compile(
            "(?:([a-z][-a-z0-9]*)=)?(.+?)((?:,(?:ro|direct|(?:queues|rate|iops|back-end)=[^,]*))*)");

    @Override
    public Disk convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException("'%s' is not a disk; write %s".formatted(text, LABEL));
      }
      Disk.Builder disk = Disk.newBuilder().setSource(matcher.group(2));
      if (matcher.group(1) != null) {
        disk.setId(matcher.group(1));
      }
      for (String property : matcher.group(3).split(",", -1)) {
        set(disk, property);
      }
      return disk.build();
    }

    private static void set(Disk.Builder disk, String property) {
      String value = property.substring(property.indexOf('=') + 1);
      switch (property.substring(0, property.length() - value.length())) {
        case "queues=" -> disk.setQueues(number(value));
        case "rate=" -> disk.getRateLimitBuilder().setBandwidth(perSecond(bytes(value)));
        case "iops=" -> disk.getRateLimitBuilder().setOperations(perSecond(number(value)));
        case "back-end=" -> disk.setBackEnd(value);
        default -> {
          disk.setReadOnly(disk.getReadOnly() || value.equals("ro"));
          disk.setDirect(disk.getDirect() || value.equals("direct"));
        }
      }
    }
  }

  /** {@code COLUMNSxROWS}, in characters. */
  static final class ConsoleSizeForm implements ITypeConverter<ConsoleSize> {
    static final String LABEL = "COLUMNSxROWS";

    private static final Pattern FORM = Pattern.compile("(\\d{1,5})x(\\d{1,5})");

    @Override
    public ConsoleSize convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'%s' is not a console's size; write COLUMNSxROWS, as 80x25".formatted(text));
      }
      return ConsoleSize.newBuilder()
          .setColumns(Integer.parseInt(matcher.group(1)))
          .setRows(Integer.parseInt(matcher.group(2)))
          .build();
    }
  }

  /** {@code NAME} of a pipe; {@code NAME,console} or {@code NAME,console=80x25} of a console. */
  static final class ConsolePortForm implements ITypeConverter<ConsolePort> {
    static final String LABEL = "NAME[,console[=COLUMNSxROWS]]";

    private static final Pattern FORM = Pattern.compile("([^,=]+)(,console(?:=(.*))?)?");

    @Override
    public ConsolePort convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'%s' is not a console port; write %s".formatted(text, LABEL));
      }
      ConsolePort.Builder port =
          ConsolePort.newBuilder().setName(matcher.group(1)).setConsole(matcher.group(2) != null);
      if (matcher.group(3) != null) {
        port.setSize(new ConsoleSizeForm().convert(matcher.group(3)));
      }
      return port.build();
    }
  }

  /**
   * {@code auto}, or properties as {@code tap=tap0,mac=02:00:00:00:00:01,queues=2,mtu=1400,rx=10M}.
   * Without an id the network has the empty one; the command numbers it.
   */
  static final class NetworkForm implements ITypeConverter<Network> {
    static final String LABEL = "auto|KEY=VALUE[,KEY=VALUE...]";

    @Override
    public Network convert(String text) {
      Network.Builder network = Network.newBuilder();
      if (text.equals("auto")) {
        return network.build();
      }
      for (String property : text.split(",", -1)) {
        int equals = property.indexOf('=');
        if (equals < 0) {
          throw wrong(property);
        }
        set(network, property.substring(0, equals), property.substring(equals + 1));
      }
      return network.build();
    }

    private static void set(Network.Builder network, String key, String value) {
      switch (key) {
        case "id" -> network.setId(value);
        case "tap" -> network.setTap(value);
        case "mac" -> network.setMacAddress(value);
        case "queues" -> network.setQueuePairs(number(value));
        case "mtu" -> network.setMtu(number(value));
        case "rx" -> network.setRxRateLimit(bandwidth(value));
        case "tx" -> network.setTxRateLimit(bandwidth(value));
        default -> throw wrong(key + "=" + value);
      }
    }

    private static TypeConversionException wrong(String property) {
      return new TypeConversionException(
          "'%s' is no property of a network: id, tap, mac, queues, mtu, rx, tx"
              .formatted(property));
    }
  }
}
