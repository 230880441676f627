package dev.vireo.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.QueueInspection;
import java.io.PrintStream;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What microVMs did between two looks at them, the busiest first. */
final class TopView {
  /** As the controller's metrics tell bytes from other counters. */
  private static final Pattern BYTES = Pattern.compile("(.*_)?bytes(_.*)?");

  private static final Comparator<Row> BUSIEST_FIRST =
      Comparator.comparingDouble((Row row) -> row.cpus.orElse(0))
          .thenComparingDouble(Row::requests)
          .thenComparingDouble(Row::exits)
          .thenComparingLong(Row::memoryBytes)
          .reversed()
          .thenComparing(Row::name);

  private final List<Row> rows;

  private TopView(List<Row> rows) {
    this.rows = rows;
  }

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

    private double cpuSeconds() {
      return inspection.getCpuTime().getSeconds() + inspection.getCpuTime().getNanos() / 1e9;
    }

    private double exits() {
      return inspection.getExitsMap().values().stream().mapToDouble(Long::doubleValue).sum();
    }
  }

  /**
   * Rates are for each second.
   *
   * @param cpus how many were busy with it on average; unknown of a VMM that was not there before,
   *     which has had some before its microVM, and where its node cannot tell
   */
  private record Row(
      String name,
      String node,
      int vcpus,
      OptionalDouble cpus,
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
          same && after.inspection.hasCpuTime()
              ? OptionalDouble.of((after.cpuSeconds() - since.cpuSeconds()) / seconds)
              : OptionalDouble.empty(),
          after.inspection.getPssBytes(),
          (after.requests() - since.requests()) / seconds,
          (after.bytes() - since.bytes()) / seconds,
          (after.exits() - since.exits()) / seconds);
    }
  }

  /**
   * A row for each that was seen the second time.
   *
   * @param before by uid
   */
  static TopView between(Map<String, Look> before, List<Look> after, Duration elapsed) {
    return new TopView(
        after.stream()
            .map(look -> Row.between(before.get(uid(look.microVm)), look, elapsed))
            .sorted(BUSIEST_FIRST)
            .toList());
  }

  /** How many CPUs were busy with a node's microVMs on average, its VMMs' own work included. */
  double cpusOf(String node) {
    return rows.stream()
        .filter(row -> row.node.equals(node))
        .mapToDouble(row -> row.cpus.orElse(0))
        .sum();
  }

  /**
   * Prints them.
   *
   * @param most how many rows at most
   */
  void print(int most, PrintStream out) {
    Table table =
        new Table("NAME", "NODE", "VCPUS", "CPU", "MEMORY", "I/O /s", "BYTES /s", "EXITS /s");
    rows.stream()
        .limit(most)
        .forEach(row ->
            table.add(
                row.name,
                row.node,
                row.vcpus,
                row.cpus.isPresent() ? cpus(row.cpus.getAsDouble()) : "-",
                Text.bytes(row.memoryBytes),
                count(row.requests),
                Text.bytes(Math.round(row.bytes)),
                count(row.exits)));
    table.print(out);
    if (rows.size() > most) {
      out.printf("and %d more%n", rows.size() - most);
    }
  }

  /** The same for scripts, all of them. */
  JsonObject json(List<Node> nodes) {
    JsonArray ofNodes = new JsonArray();
    nodes.forEach(node -> ofNodes.add(json(node)));
    JsonArray ofMicroVms = new JsonArray();
    rows.forEach(row -> ofMicroVms.add(json(row)));
    JsonObject all = new JsonObject();
    all.add("nodes", ofNodes);
    all.add("microvms", ofMicroVms);
    return all;
  }

  private JsonObject json(Node node) {
    NodeStatus status = node.getStatus();
    String id = Api.id(node.getMeta().getName());
    JsonObject one = new JsonObject();
    one.addProperty("name", id);
    one.addProperty("health", status.getHealth().name());
    one.addProperty("cpus", rounded(cpusOf(id)));
    one.addProperty("cpusPromised", status.getAllocated().getCpuMilli() / 1e3);
    one.addProperty("memoryMibPromised", status.getAllocated().getMemoryMib());
    one.addProperty("microvms", status.getMicrovmCount());
    return one;
  }

  private static JsonObject json(Row row) {
    JsonObject one = new JsonObject();
    one.addProperty("name", row.name);
    one.addProperty("node", row.node);
    one.addProperty("vcpus", row.vcpus);
    one.addProperty("cpus", row.cpus.isPresent() ? rounded(row.cpus.getAsDouble()) : null);
    one.addProperty("memoryBytes", row.memoryBytes);
    one.addProperty("ioPerSecond", rounded(row.requests));
    one.addProperty("bytesPerSecond", rounded(row.bytes));
    one.addProperty("exitsPerSecond", rounded(row.exits));
    return one;
  }

  private static double rounded(double value) {
    return Math.round(value * 1e3) / 1e3;
  }

  /** As {@code --cpu-limit} takes it. */
  static String cpus(double count) {
    return String.format(Locale.ROOT, "%.2f", count);
  }

  static String uid(MicroVm microVm) {
    return microVm.getMeta().getUid();
  }

  private static String count(double perSecond) {
    return String.format(Locale.ROOT, "%,.0f", perSecond);
  }
}
