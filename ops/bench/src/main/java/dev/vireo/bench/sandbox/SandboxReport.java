package dev.vireo.bench.sandbox;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.vireo.bench.Samples;
import dev.vireo.bench.TextTable;
import dev.vireo.bench.sandbox.RootImages.Format;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * What it costs to run code in guests and to speak with them, as tables for people and as JSON for
 * scripts.
 *
 * @param conditions under which it was measured
 * @param probeExec a command in a bare-metal guest
 * @param devices what {@code vireo bench devices} has found, by its keys
 * @param formats in this order; none if they were not asked for
 */
public record SandboxReport(
    Map<String, String> conditions,
    Optional<ProbeExec.Result> probeExec,
    Optional<VsockStreams.Result> streams,
    JsonObject devices,
    Optional<FirstByte.Result> firstByte,
    Optional<ExecAndSsh.Result> execAndSsh,
    Map<Format, RootFormats.Result> formats) {
  private static final double TARGET_MILLIS = 5;
  private static final double MIB = 1 << 20;

  /** The keys are a contract; {@code run} holds the conditions and may grow. */
  public String toJson() {
    JsonObject json = new JsonObject();
    firstByte.ifPresent(result -> add(json, result));
    probeExec.ifPresent(result -> {
      JsonObject millis = percentiles(result.exec());
      millis.add("controller_alone", percentiles(result.controllerAlone()));
      millis.add("guest_alone", percentiles(result.guestAlone()));
      json.add("probe_exec_ms", millis);
      JsonObject cpu = new JsonObject();
      result.cpuMicros().forEach((name, micros) -> cpu.addProperty(name, rounded(micros)));
      json.add("probe_exec_cpu_us", cpu);
    });
    execAndSsh.ifPresent(result -> add(json, result));
    streams.ifPresent(result -> {
      JsonObject vsock = new JsonObject();
      vsock.add("to_guest", spread(result.toGuest()));
      vsock.add("from_guest", spread(result.fromGuest()));
      json.add("vsock_bytes_per_second", vsock);
    });
    for (String key : List.of("vsock_round_trips_per_second", "net_bytes_per_second")) {
      if (devices.has(key)) {
        json.add(key, devices.get(key));
      }
    }
    if (!formats.isEmpty()) {
      JsonObject all = new JsonObject();
      formats.forEach((format, result) -> all.add(format.label(), toJson(result)));
      json.add("root_formats", all);
    }
    JsonObject run = new JsonObject();
    conditions.forEach(run::addProperty);
    json.add("run", run);
    return new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().create().toJson(json);
  }

  private static void add(JsonObject json, FirstByte.Result result) {
    JsonObject all = new JsonObject();
    all.addProperty("p50", rounded(result.all().median()));
    all.addProperty("max", rounded(result.all().sorted().getLast()));
    all.addProperty("placement", rounded(median(result, FirstByte.Run::placement)));
    all.addProperty("vmm", rounded(median(result, FirstByte.Run::vmm)));
    all.addProperty("kernel_and_agent", rounded(median(result, FirstByte.Run::kernelAndAgent)));
    all.addProperty("process", rounded(median(result, FirstByte.Run::process)));
    all.addProperty("spec_to_first_instruction", rounded(result.vmmAlone().median()));
    json.add("run_to_first_byte_ms", all);
  }

  private static double median(FirstByte.Result result, ToDoubleFunction<FirstByte.Run> part) {
    return new Samples(result.runs().stream().map(part::applyAsDouble).toList()).median();
  }

  private static void add(JsonObject json, ExecAndSsh.Result result) {
    json.add("exec_ms", percentiles(result.exec()));
    JsonObject ssh = new JsonObject();
    ssh.add("connected", percentiles(result.connected()));
    ssh.add("anew", percentiles(result.anew()));
    json.add("ssh_ms", ssh);
    JsonObject ratio = new JsonObject();
    ratio.addProperty("connected", rounded(ratio(result.exec(), result.connected())));
    ratio.addProperty("anew", rounded(ratio(result.exec(), result.anew())));
    json.add("exec_to_ssh_ratio", ratio);
  }

  private static double ratio(Samples exec, Samples ssh) {
    return exec.median() / ssh.median();
  }

  private static JsonObject toJson(RootFormats.Result result) {
    JsonObject json = new JsonObject();
    json.addProperty("file_mib", rounded(result.fileMib()));
    json.addProperty("boot_ms", rounded(result.bootMillis().median()));
    json.addProperty("first_byte_ms", rounded(result.firstByteMillis().median()));
    json.addProperty("vmm_pss_mib", rounded(result.vmmPssMib()));
    json.addProperty("guest_cache_mib", rounded(result.guestCacheMib()));
    json.addProperty("node_cache_mib", rounded(result.nodeCacheMib()));
    return json;
  }

  private static JsonObject percentiles(Samples samples) {
    JsonObject json = new JsonObject();
    json.addProperty("p50", rounded(samples.percentile(50)));
    json.addProperty("p99", rounded(samples.percentile(99)));
    json.addProperty("max", rounded(samples.sorted().getLast()));
    return json;
  }

  private static JsonObject spread(Samples samples) {
    JsonObject json = new JsonObject();
    json.addProperty("vireo", rounded(samples.median()));
    JsonArray range = new JsonArray();
    range.add(rounded(samples.sorted().getFirst()));
    range.add(rounded(samples.sorted().getLast()));
    json.add("vireo_range", range);
    return json;
  }

  public String toTable() {
    StringBuilder text = new StringBuilder();
    firstByte.ifPresent(result -> text.append(table(result)).append('\n'));
    commands().ifPresent(table -> text.append(table).append('\n'));
    probeExec.ifPresent(result -> text.append(cpu(result)).append('\n'));
    throughput().ifPresent(table -> text.append(table).append('\n'));
    if (!formats.isEmpty()) {
      text.append(formatsTable()).append('\n');
    }
    conditions.forEach((name, value) -> text.append("  " + name + ": " + value + "\n"));
    return text.toString();
  }

  private static TextTable table(FirstByte.Result result) {
    return new TextTable()
        .row("run to the first byte, ms", "p50", "max")
        .row("all", show(result.all().median()), show(result.all().sorted().getLast()))
        .row("  placement", show(median(result, FirstByte.Run::placement)), "")
        .row("  VMM, until the guest runs", show(median(result, FirstByte.Run::vmm)), "")
        .row("    of it from spec to first instruction", show(result.vmmAlone().median()), "")
        .row("  kernel and agent", show(median(result, FirstByte.Run::kernelAndAgent)), "")
        .row("  process, until it has written", show(median(result, FirstByte.Run::process)), "");
  }

  private Optional<TextTable> commands() {
    if (probeExec.isEmpty() && execAndSsh.isEmpty()) {
      return Optional.empty();
    }
    TextTable table = new TextTable().row("a command, ms", "p50", "p99", "exec is", "target");
    probeExec.ifPresent(result -> {
      Samples millis = result.exec();
      addTimes(
          table,
          "exec, bare-metal guest, this machine's KVM",
          millis,
          "",
          "p99 <= 5: " + (millis.percentile(99) <= TARGET_MILLIS ? "met" : "MISSED"));
      addTimes(table, "  a call to the controller alone", result.controllerAlone(), "", "");
      addTimes(table, "  VMM and guest alone", result.guestAlone(), "", "");
    });
    execAndSsh.ifPresent(result -> {
      addTimes(table, "exec, Linux guest", result.exec(), "", "");
      addTimes(
          table,
          "ssh, its connection there",
          result.connected(),
          show(ratio(result.exec(), result.connected())) + " of it",
          "");
      addTimes(
          table,
          "ssh, a connection each",
          result.anew(),
          show(ratio(result.exec(), result.anew())) + " of it",
          "");
    });
    return Optional.of(table);
  }

  private static TextTable cpu(ProbeExec.Result result) {
    TextTable table = new TextTable().row("CPU of an exec, bare-metal guest, us", "");
    result.cpuMicros().forEach((name, micros) -> table.row(name, show(micros)));
    return table;
  }

  private static void addTimes(
      TextTable table, String title, Samples millis, String ratio, String target) {
    table.row(title, show(millis.percentile(50)), show(millis.percentile(99)), ratio, target);
  }

  private Optional<TextTable> throughput() {
    TextTable table = new TextTable().row("throughput", "Vireo", "QEMU microvm", "ratio");
    streams.ifPresent(result -> {
      table.row("vsock to the guest, MiB/s", show(result.toGuest().median() / MIB), "", "");
      table.row("vsock from the guest, MiB/s", show(result.fromGuest().median() / MIB), "", "");
    });
    if (devices.has("vsock_round_trips_per_second")) {
      table.row(
          "vsock round trips a second",
          show(devices.getAsJsonObject("vsock_round_trips_per_second").get("vireo").getAsDouble()),
          "",
          "");
    }
    if (devices.has("net_bytes_per_second")) {
      JsonObject net = devices.getAsJsonObject("net_bytes_per_second");
      for (String point : net.keySet()) {
        JsonObject of = net.getAsJsonObject(point);
        table.row(
            "net, packets of %s B, MiB/s".formatted(point.replace("bytes", "")),
            show(of.get("vireo").getAsDouble() / MIB),
            show(of.get("qemu_microvm").getAsDouble() / MIB),
            show(of.get("ratio").getAsDouble()));
      }
    }
    return streams.isPresent() || !devices.isEmpty() ? Optional.of(table) : Optional.empty();
  }

  private TextTable formatsTable() {
    TextTable table =
        new TextTable()
            .row(
                "root file system",
                "MiB",
                "boot ms",
                "first byte ms",
                "VMM PSS MiB",
                "guest's cache MiB",
                "node's cache MiB");
    formats.forEach((format, result) ->
        table.row(
            format.label(),
            show(result.fileMib()),
            show(result.bootMillis().median()),
            show(result.firstByteMillis().median()),
            show(result.vmmPssMib()),
            show(result.guestCacheMib()),
            show(result.nodeCacheMib())));
    return table;
  }

  private static double rounded(double value) {
    return Math.round(value * 1000) / 1000.0;
  }

  private static String show(double value) {
    return String.format(Locale.ROOT, value >= 1000 ? "%,.0f" : "%.2f", value);
  }
}
