package dev.vireo.cli;

import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.QueueInspection;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What microVMs did between two looks at them, the busiest first. */
final class TopView {
  /** As the controller's metrics tell bytes from other counters. */
  private static final Pattern BYTES = Pattern.compile("(.*_)?bytes(_.*)?");

  private static final Comparator<Row> BUSIEST_FIRST =
      Comparator.comparingDouble(Row::requests)
          .thenComparingDouble(Row::exits)
          .thenComparingLong(Row::memoryBytes)
          .reversed()
          .thenComparing(Row::name);

  private TopView() {}

  /** One microVM as its VMM knew it. */
  record Look(MicroVm microVm, Inspection inspection) {
    private double requests() {
      return inspection.getDevicesList().stream()
          .flatMap(device -> device.getQueuesList().stream())
          .mapToDouble(QueueInspection::getRequests)
          .sum();
    }

    private double bytes() {
      return inspection.getDevicesList().stream()
          .map(DeviceInspection::getCountersMap)
          .flatMap(counters -> counters.entrySet().stream())
          .filter(counter -> BYTES.matcher(counter.getKey()).matches())
          .mapToDouble(Map.Entry::getValue)
          .sum();
    }

    private double exits() {
      return inspection.getExitsMap().values().stream().mapToDouble(Long::doubleValue).sum();
    }
  }

  /** Rates are for each second. */
  private record Row(
      String name,
      String node,
      int vcpus,
      long memoryBytes,
      double requests,
      double bytes,
      double exits) {
    static Row between(@Nullable Look before, Look after, Duration elapsed) {
      // Another VMM counts from the start.
      boolean same =
          before != null && before.inspection.getVmmPid() == after.inspection.getVmmPid();
      Look since =
          same && before != null
              ? before
              : new Look(after.microVm, Inspection.getDefaultInstance());
      double seconds = elapsed.toNanos() / 1e9;
      return new Row(
          Api.id(after.microVm),
          Text.orDash(Api.id(after.microVm.getStatus().getNode())),
          after.microVm.getSpec().getVcpus(),
          after.inspection.getPssBytes(),
          (after.requests() - since.requests()) / seconds,
          (after.bytes() - since.bytes()) / seconds,
          (after.exits() - since.exits()) / seconds);
    }
  }

  /**
   * Prints a row for each that was seen the second time.
   *
   * @param before by uid
   * @param most how many rows at most
   */
  static void print(
      Map<String, Look> before, List<Look> after, Duration elapsed, int most, PrintStream out) {
    Table table = new Table("NAME", "NODE", "VCPUS", "MEMORY", "I/O /s", "BYTES /s", "EXITS /s");
    after.stream()
        .map(look -> Row.between(before.get(uid(look.microVm)), look, elapsed))
        .sorted(BUSIEST_FIRST)
        .limit(most)
        .forEach(row ->
            table.add(
                row.name,
                row.node,
                row.vcpus,
                Text.bytes(row.memoryBytes),
                count(row.requests),
                Text.bytes(Math.round(row.bytes)),
                count(row.exits)));
    table.print(out);
    if (after.size() > most) {
      out.printf("and %d more%n", after.size() - most);
    }
  }

  static String uid(MicroVm microVm) {
    return microVm.getMeta().getUid();
  }

  private static String count(double perSecond) {
    return String.format(Locale.ROOT, "%,.0f", perSecond);
  }
}
