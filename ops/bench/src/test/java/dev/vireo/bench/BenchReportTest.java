package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonParser;
import dev.vireo.bench.BenchReport.Pair;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BenchReportTest {
  private static final BenchReport REPORT =
      new BenchReport(
          Map.of("pool", "16"),
          Samples.of(1, 2, 3),
          Samples.of(3, 4, 60),
          Samples.of(5, 6, 7),
          new Pair(12.5, 14.25),
          new Pair(9000, 12_000),
          new Pair(210_000, 200_000),
          2.0,
          0,
          80.5);

  /** These paths are a contract with whoever reads the numbers. */
  @ParameterizedTest
  @CsvSource({
    "create_to_first_instruction_ms.p50, 4",
    "create_to_first_instruction_ms.p99, 60",
    "idle_pss_mib.vireo, 12.5",
    "idle_pss_mib.qemu_microvm, 14.25",
    "blk_4k_read_iops.depth1.vireo, 9000",
    "blk_4k_read_iops.depth1.qemu_microvm, 12000",
    "blk_4k_read_iops.depth32.vireo, 210000",
    "blk_4k_read_iops.depth32.qemu_microvm, 200000",
    "user_exits_per_io, 2",
    "creates_per_second, 80.5",
  })
  void jsonHasTheNumberAtItsPath(String path, double expected) {
    JsonElement element = JsonParser.parseString(REPORT.toJson());
    for (String key : path.split("\\.", -1)) {
      element = element.getAsJsonObject().get(key);
    }
    assertEquals(expected, element.getAsDouble());
  }

  @Test
  void theTableSaysWhichTargetsAreMissed() {
    String table = REPORT.toTable();

    assertTrue(row(table, "first instruction, p50").endsWith("met"));
    assertTrue(row(table, "first instruction, p99").endsWith("MISSED"));
    assertTrue(row(table, "depth 1 ").endsWith("MISSED"));
    assertTrue(row(table, "depth 32").endsWith("met"));
  }

  private static String row(String table, String measure) {
    return table.lines().filter(line -> line.contains(measure)).findFirst().orElseThrow();
  }
}
