package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.vireo.bench.BenchReport.Pair;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DevicesReportTest {
  private static final DevicesReport REPORT = report();

  private static DevicesReport report() {
    Workload read =
        Workload.ofDisk(Path.of("/disk")).stream()
            .filter(workload -> workload.point().equals("depth32"))
            .findFirst()
            .orElseThrow();
    Workload large = Workload.ofNetwork("tap0").getLast();
    Map<Workload, DevicesReport.Result> results = new LinkedHashMap<>();
    results.put(read, result(read));
    results.put(large, result(large));
    return new DevicesReport(
        Map.of("load", "none"),
        results,
        Optional.of(new VsockEcho.Result(Samples.of(7000, 8000, 9000), 12.5)),
        Optional.of(new Pair(15, 20)));
  }

  /** Of the machine's number n: n thousand a second, n µs and n interrupts each, exits as many. */
  private static DevicesReport.Result result(Workload workload) {
    return new DevicesReport.Result(
        series(workload, 3, 0),
        series(workload, 1, 1),
        series(workload, 2, 2),
        series(workload, 5, 0),
        qemu(workload));
  }

  private static Series qemu(Workload workload) {
    return series(workload, 4, Double.NaN);
  }

  private static Series series(Workload workload, int number, double exits) {
    Series series = new Series();
    for (int rate : new int[] {number * 1000, number * 500, number * 2000}) {
      String text =
          "%s=%d\n%s=1000\ninterrupts=%d\n"
              .formatted(workload.unit(), rate, workload.count(), number * 1000);
      series.add(workload, new Finished(ProbeOutput.parse(text), number / 1000.0, exits, exits));
    }
    return series;
  }

  /** These paths are a contract with whoever reads the numbers. */
  @ParameterizedTest
  @CsvSource({
    "blk_4k_read_iops.depth32.vireo, 3000",
    "blk_4k_read_iops.depth32.qemu_microvm, 4000",
    "blk_4k_read_iops.depth32.ratio, 0.75",
    "net_packets_per_second.bytes65536.vireo, 3000",
    "net_bytes_per_second.bytes65536.qemu_microvm, 262140000",
    "cpu_us_per_io.blk_4k_read.depth32.vireo, 3",
    "cpu_us_per_io.blk_4k_read.depth32.qemu_microvm, 4",
    "interrupts_per_io.net.bytes65536.qemu_microvm, 4",
    "user_exits_per_io.net.bytes65536.vireo, 0",
    "vsock_round_trips_per_second.vireo, 8000",
    "cpu_us_per_io.vsock.vireo, 12.5",
    "idle_all_devices_pss_mib.vireo, 15",
    "idle_all_devices_pss_mib.qemu_microvm, 20",
    "register_page.blk_4k_read_iops.depth32.lazy, 3000",
    "register_page.blk_4k_read_iops.depth32.strict, 1000",
    "compiler.blk_4k_read_iops.depth32.lean, 3000",
    "compiler.cpu_us_per_io.blk_4k_read.depth32.fast, 5",
    "register_page.user_exits_per_io.blk_4k_read.depth32.classic, 2",
  })
  void jsonHasTheNumberAtItsPath(String path, double expected) {
    assertEquals(expected, at(path).getAsDouble());
  }

  @Test
  void jsonTellsLeastAndMost() {
    assertEquals("[1500.0,6000.0]", at("blk_4k_read_iops.depth32.vireo_range").toString());
  }

  @Test
  void whatNobodyCountsIsLeftOut() {
    JsonObject exits = at("user_exits_per_io.blk_4k_read.depth32").getAsJsonObject();

    assertFalse(exits.has("qemu_microvm"), exits.toString());
  }

  @Test
  void theTableComparesMachinesAndModes() {
    String table = REPORT.toTable();

    assertEquals(
        "4K reads, depth 32 3,000 (1,500 to 6,000) 4,000 (2,000 to 8,000) 0.75 3.00 4.00 0.75 0.00 3.00"
            + " 4.00",
        rows(table, "4K reads, depth 32").getFirst());
    assertEquals(
        "4K reads, depth 32 3,000 1,000 2,000 3.00 1.00 2.00 0.00 1.00 2.00",
        rows(table, "4K reads, depth 32").get(1));
    assertEquals(
        "4K reads, depth 32 3,000 5,000 3.00 5.00", rows(table, "4K reads, depth 32").getLast());
    assertTrue(table.contains(DevicesReport.QEMU_VSOCK), table);
  }

  private static java.util.List<String> rows(String table, String title) {
    return table
        .lines()
        .filter(line -> line.startsWith(title))
        .map(line -> line.replaceAll(" +", " "))
        .toList();
  }

  private static JsonElement at(String path) {
    JsonElement element = JsonParser.parseString(REPORT.toJson());
    for (String key : path.split("\\.", -1)) {
      element = element.getAsJsonObject().get(key);
    }
    return element;
  }
}
