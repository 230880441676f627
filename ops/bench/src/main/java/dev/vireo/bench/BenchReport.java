package dev.vireo.bench;

import com.google.gson.GsonBuilder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The results of one run, as a table for people and as JSON for scripts. */
record BenchReport(
    Map<String, Object> conditions,
    Samples specReceivedMillis,
    Samples firstInstructionMillis,
    Samples firstConsoleByteMillis,
    Pair idlePssMib,
    Pair depth1Iops,
    Pair depth32Iops,
    double userExitsPerIo,
    double notificationExitsPerIo,
    double createsPerSecond) {

  /** The same measure of both machines. */
  record Pair(double vireo, double qemuMicrovm) {
    double ratio() {
      return vireo / qemuMicrovm;
    }

    private Map<String, Object> toMap() {
      Map<String, Object> map = new LinkedHashMap<>();
      map.put("vireo", rounded(vireo));
      map.put("qemu_microvm", rounded(qemuMicrovm));
      return map;
    }
  }

  /** The keys are a contract; {@code run} holds the conditions and may grow. */
  String toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("create_to_first_instruction_ms", percentiles(firstInstructionMillis));
    json.put("create_to_spec_received_ms", percentiles(specReceivedMillis));
    json.put("create_to_first_console_byte_ms", percentiles(firstConsoleByteMillis));
    json.put("idle_pss_mib", idlePssMib.toMap());
    Map<String, Object> iops = new LinkedHashMap<>();
    iops.put("depth1", depth1Iops.toMap());
    iops.put("depth32", depth32Iops.toMap());
    json.put("blk_4k_read_iops", iops);
    json.put("user_exits_per_io", rounded(userExitsPerIo));
    json.put("notification_exits_per_io", rounded(notificationExitsPerIo));
    json.put("creates_per_second", rounded(createsPerSecond));
    json.put("run", conditions);
    return new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().create().toJson(json);
  }

  String toTable() {
    StringBuilder table = new StringBuilder();
    line(table, "", "vireo", "QEMU microvm", "target", "");
    for (Row row : rows()) {
      line(table, row.measure, row.vireo, row.qemu, row.target, row.met ? "met" : "MISSED");
    }
    conditions.forEach((name, value) -> table.append(String.format("%n  %s: %s", name, value)));
    return table.append('\n').toString();
  }

  private record Row(String measure, String vireo, String qemu, String target, boolean met) {}

  /** Targets as the project has set them for a machine of two cores. */
  private List<Row> rows() {
    double p50 = firstInstructionMillis.percentile(50);
    double p99 = firstInstructionMillis.percentile(99);
    return List.of(
        new Row("create to first instruction, p50 ms", show(p50), "", "<= 10", p50 <= 10),
        new Row("create to first instruction, p99 ms", show(p99), "", "<= 50", p99 <= 50),
        informative("of it until the VMM has its spec, p50 ms", specReceivedMillis.percentile(50)),
        informative("create to first console byte, p50 ms", firstConsoleByteMillis.percentile(50)),
        informative("create to first console byte, p99 ms", firstConsoleByteMillis.percentile(99)),
        compared("memory of an idle VMM, PSS MiB", idlePssMib, "<= QEMU", idlePssMib.ratio() <= 1),
        compared("4K reads/s, depth 1", depth1Iops, ">= QEMU", depth1Iops.ratio() >= 1),
        compared("4K reads/s, depth 32", depth32Iops, ">= QEMU", depth32Iops.ratio() >= 1),
        informative("exits to user space per I/O, depth 1", userExitsPerIo),
        new Row(
            "of them for notifications",
            show(notificationExitsPerIo),
            "",
            "0",
            notificationExitsPerIo == 0),
        new Row("creates per second", show(createsPerSecond), "", ">= 50", createsPerSecond >= 50));
  }

  private static Row informative(String measure, double value) {
    return new Row(measure, show(value), "", "", true);
  }

  private static Row compared(String measure, Pair pair, String target, boolean met) {
    return new Row(measure, show(pair.vireo), show(pair.qemuMicrovm), target, met);
  }

  private static void line(
      StringBuilder table, String measure, String vireo, String qemu, String target, String met) {
    String mark = target.isEmpty() ? "" : met;
    table.append(
        String.format("%-38s %12s %14s %10s  %s", measure, vireo, qemu, target, mark)
            .stripTrailing());
    table.append('\n');
  }

  private static Map<String, Object> percentiles(Samples samples) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("p50", rounded(samples.percentile(50)));
    map.put("p99", rounded(samples.percentile(99)));
    return map;
  }

  private static double rounded(double value) {
    return Math.round(value * 1000) / 1000.0;
  }

  private static String show(double value) {
    return String.format(Locale.ROOT, value >= 1000 ? "%,.0f" : "%.2f", value);
  }
}
