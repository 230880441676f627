package dev.vireo.bench;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.vireo.bench.BenchReport.Pair;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * The results of one run of the device benchmarks, as tables for people and as JSON for scripts.
 *
 * @param results of each workload on each machine
 * @param vsock Vireo's alone; none if it was not asked for
 * @param idlePssMib a VMM with all devices, whose guest sleeps; none if it was not asked for
 */
record DevicesReport(
    Map<String, String> conditions,
    Map<Workload, Result> results,
    Optional<VsockEcho.Result> vsock,
    Optional<Pair> idlePssMib) {

  static final String QEMU_VSOCK =
      QemuMicrovm.HAS_VSOCK
          ? "QEMU has but vhost-vsock, whose host side is another: not measured"
          : "QEMU has but vhost-vsock, and this machine has no /dev/vhost-vsock: Vireo alone";

  /**
   * One workload on all machines.
   *
   * @param lazy Vireo with the register page in mode lazy, which is what auto is on x86: it is the
   *     one compared with QEMU
   * @param strict Vireo in mode strict
   * @param classic Vireo in mode classic
   * @param fast Vireo in mode lazy, compiled for speed; the others are compiled as AUTO says
   */
  record Result(Series lazy, Series strict, Series classic, Series fast, Series qemu) {
    List<Series> modes() {
      return List.of(lazy, strict, classic);
    }

    List<Series> compilers() {
      return List.of(lazy, fast);
    }
  }

  /** The keys are a contract; {@code run} holds the conditions and may grow. */
  String toJson() {
    JsonObject json = new JsonObject();
    results.forEach((workload, result) -> add(json, workload, result));
    vsock.ifPresent(result -> {
      addSamples(at(json, "vsock_round_trips_per_second"), "vireo", result.rate(), 1);
      at(json, "cpu_us_per_io", "vsock").addProperty("vireo", rounded(result.cpuMicros()));
    });
    idlePssMib.ifPresent(pss -> {
      JsonObject memory = at(json, "idle_all_devices_pss_mib");
      memory.addProperty("vireo", rounded(pss.vireo()));
      memory.addProperty("qemu_microvm", rounded(pss.qemuMicrovm()));
    });
    conditions.forEach(at(json, "run")::addProperty);
    return new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().create().toJson(json);
  }

  private static void add(JsonObject json, Workload workload, Result result) {
    addRates(json, workload, workload.unit(), result, 1);
    if (workload.unit().startsWith("packets")) {
      addRates(json, workload, "bytes_per_second", result, workload.bytes());
    }
    addMeasure(json, "cpu_us_per_io", workload, result, Series::cpuMicrosPerOperation);
    addMeasure(json, "interrupts_per_io", workload, result, Series::interruptsPerOperation);
    addMeasure(json, "user_exits_per_io", workload, result, Series::exitsPerRequest);
  }

  private static void addRates(
      JsonObject json, Workload workload, String unit, Result result, int scale) {
    String key = workload.group() + "_" + unit;
    JsonObject compared = at(json, key, workload.point());
    Samples ours = result.lazy().rate();
    Samples theirs = result.qemu().rate();
    addSamples(compared, "vireo", ours, scale);
    addSamples(compared, "qemu_microvm", theirs, scale);
    compared.addProperty("ratio", rounded(ours.median() / theirs.median()));
    JsonObject modes = at(json, "register_page", key, workload.point());
    modes.addProperty("lazy", rounded(ours.median() * scale));
    modes.addProperty("strict", rounded(result.strict().rate().median() * scale));
    modes.addProperty("classic", rounded(result.classic().rate().median() * scale));
    JsonObject compilers = at(json, "compiler", key, workload.point());
    compilers.addProperty("lean", rounded(ours.median() * scale));
    compilers.addProperty("fast", rounded(result.fast().rate().median() * scale));
  }

  private static void addSamples(JsonObject to, String name, Samples samples, int scale) {
    to.addProperty(name, rounded(samples.median() * scale));
    JsonArray range = new JsonArray();
    range.add(rounded(samples.sorted().getFirst() * scale));
    range.add(rounded(samples.sorted().getLast() * scale));
    to.add(name + "_range", range);
  }

  private static void addMeasure(
      JsonObject json,
      String key,
      Workload workload,
      Result result,
      ToDoubleFunction<Series> measure) {
    JsonObject compared = at(json, key, workload.group(), workload.point());
    addUnlessUnknown(compared, "vireo", measure.applyAsDouble(result.lazy()));
    addUnlessUnknown(compared, "qemu_microvm", measure.applyAsDouble(result.qemu()));
    JsonObject modes = at(json, "register_page", key, workload.group(), workload.point());
    modes.addProperty("lazy", rounded(measure.applyAsDouble(result.lazy())));
    modes.addProperty("strict", rounded(measure.applyAsDouble(result.strict())));
    modes.addProperty("classic", rounded(measure.applyAsDouble(result.classic())));
    JsonObject compilers = at(json, "compiler", key, workload.group(), workload.point());
    compilers.addProperty("lean", rounded(measure.applyAsDouble(result.lazy())));
    compilers.addProperty("fast", rounded(measure.applyAsDouble(result.fast())));
  }

  private static void addUnlessUnknown(JsonObject to, String name, double value) {
    if (!Double.isNaN(value)) {
      to.addProperty(name, rounded(value));
    }
  }

  /** The object at a path, made where it is not there. */
  private static JsonObject at(JsonObject root, String... path) {
    JsonObject object = root;
    for (String key : path) {
      if (!object.has(key)) {
        object.add(key, new JsonObject());
      }
      object = object.getAsJsonObject(key);
    }
    return object;
  }

  String toTable() {
    TextTable compared =
        new TextTable()
            .row(
                "a second",
                "Vireo",
                "QEMU microvm",
                "ratio",
                "CPU µs:",
                "QEMU",
                "ratio",
                "exits",
                "interrupts:",
                "QEMU");
    results.forEach((workload, result) -> addCompared(compared, workload, result));
    vsock.ifPresent(result ->
        compared.row(
            "vsock round trips",
            spread(result.rate()),
            "",
            "",
            show(result.cpuMicros()),
            "",
            "",
            "",
            "",
            ""));
    TextTable modes =
        new TextTable()
            .row(
                "register page",
                "lazy",
                "strict",
                "classic",
                "CPU µs:",
                "strict",
                "classic",
                "exits:",
                "strict",
                "classic");

    results.forEach((workload, result) -> addModes(modes, workload, result));
    TextTable compilers = new TextTable().row("compiler", "lean", "fast", "CPU µs:", "fast");
    results.forEach((workload, result) -> addCompilers(compilers, workload, result));
    StringBuilder text = new StringBuilder(compared + "\n" + modes + "\n" + compilers + "\n");
    idlePssMib.ifPresent(pss -> text.append(memory(pss) + "\n"));
    conditions.forEach((name, value) -> text.append("  " + name + ": " + value + "\n"));
    if (vsock.isPresent()) {
      text.append("  vsock: " + QEMU_VSOCK + "\n");
    }
    return text.toString();
  }

  private static TextTable memory(Pair pss) {
    return new TextTable()
        .row("PSS, MiB", "Vireo", "QEMU microvm", "ratio")
        .row("idle, all devices", show(pss.vireo()), show(pss.qemuMicrovm()), show(pss.ratio()));
  }

  private static void addCompared(TextTable table, Workload workload, Result result) {
    Series ours = result.lazy();
    Series theirs = result.qemu();
    table.row(
        workload.title(),
        spread(ours.rate()),
        spread(theirs.rate()),
        show(ours.rate().median() / theirs.rate().median()),
        show(ours.cpuMicrosPerOperation()),
        show(theirs.cpuMicrosPerOperation()),
        show(ours.cpuMicrosPerOperation() / theirs.cpuMicrosPerOperation()),
        show(ours.exitsPerRequest()),
        show(ours.interruptsPerOperation()),
        show(theirs.interruptsPerOperation()));
  }

  private static void addModes(TextTable table, Workload workload, Result result) {
    List<String> cells = new ArrayList<>(List.of(workload.title()));
    result.modes().forEach(mode -> cells.add(show(mode.rate().median())));
    result.modes().forEach(mode -> cells.add(show(mode.cpuMicrosPerOperation())));
    result.modes().forEach(mode -> cells.add(show(mode.exitsPerRequest())));
    table.row(cells.toArray(String[]::new));
  }

  private static void addCompilers(TextTable table, Workload workload, Result result) {
    List<String> cells = new ArrayList<>(List.of(workload.title()));
    result.compilers().forEach(kind -> cells.add(show(kind.rate().median())));
    result.compilers().forEach(kind -> cells.add(show(kind.cpuMicrosPerOperation())));
    table.row(cells.toArray(String[]::new));
  }

  private static String spread(Samples samples) {
    return "%s (%s to %s)"
        .formatted(
            show(samples.median()),
            show(samples.sorted().getFirst()),
            show(samples.sorted().getLast()));
  }

  private static double rounded(double value) {
    return Math.round(value * 1000) / 1000.0;
  }

  private static String show(double value) {
    return String.format(Locale.ROOT, value >= 1000 ? "%,.0f" : "%.2f", value);
  }
}
