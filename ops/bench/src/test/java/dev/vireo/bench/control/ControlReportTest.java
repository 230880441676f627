package dev.vireo.bench.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.vireo.bench.Samples;
import dev.vireo.bench.control.ControlReport.Failover;
import dev.vireo.bench.control.ControlReport.Measured;
import dev.vireo.bench.control.ControlReport.Watched;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class ControlReportTest {
  private static final Measured SQLITE =
      new Measured("sqlite", 1_500.4, 30, 90, 2_000, 2, 0.5, 20_000, 300);

  private static final Failover FAILOVER =
      new Failover(
          Samples.of(5_100, 6_200, 5_900),
          Samples.of(10, 11, 12),
          Samples.of(20, 2_100, 30),
          7_000,
          0,
          48,
          0);

  @Test
  void itsKeysAreAContract() {
    ControlReport report =
        new ControlReport(List.of(SQLITE), new Watched(1_000, 30, 100, 90_000, 0), FAILOVER);

    JsonObject json = JsonParser.parseString(report.toJson()).getAsJsonObject();
    assertEquals(
        Set.of(
            "creates_per_second",
            "create_p50_ms",
            "create_p99_ms",
            "store_alone_creates_per_second",
            "percent_of_store",
            "durable_writes_per_create",
            "controller_cpu_ms_per_create",
            "heap_mib_per_100k_microvms"),
        json.getAsJsonObject("sqlite").keySet());
    assertEquals(1_500, json.getAsJsonObject("sqlite").get("creates_per_second").getAsInt());
    assertEquals(
        75.02, json.getAsJsonObject("sqlite").get("percent_of_store").getAsDouble(), 0.001);
    assertEquals(
        Set.of("clients", "latency_p50_ms", "latency_p99_ms", "events_per_second", "cut_off"),
        json.getAsJsonObject("watch").keySet());
    JsonObject failover = json.getAsJsonObject("failover");
    assertEquals(
        Set.of(
            "leader_killed_to_placement_p50_ms",
            "leader_killed_to_placement_max_ms",
            "follower_killed_to_placement_p50_ms",
            "follower_killed_to_placement_max_ms",
            "etcd_member_killed_to_placement_p50_ms",
            "etcd_member_killed_to_placement_max_ms",
            "creates_answered",
            "creates_lost",
            "creates_retried",
            "creates_failed"),
        failover.keySet());
    assertEquals(5_900, failover.get("leader_killed_to_placement_p50_ms").getAsDouble());
    assertEquals(6_200, failover.get("leader_killed_to_placement_max_ms").getAsDouble());
    assertEquals(48, failover.get("creates_retried").getAsInt());
  }

  @Test
  void peopleSeeARowForEachStoreWhoWatchesAndWhatAKillDoes() {
    String all =
        new ControlReport(List.of(SQLITE), new Watched(1_000, 30, 100, 90_000, 2), FAILOVER)
            .toTable();

    assertTrue(all.contains("1,500") && all.contains("75 %"), all);
    assertTrue(all.contains("1,000 clients watch") && all.contains("2 cut off"), all);
    assertTrue(all.contains("the leader 5,900 ms (at most 6,200)"), all);
    assertTrue(all.contains("7,000 answered, of which 0 lost; 48 took several"), all);
    assertFalse(new ControlReport(List.of(SQLITE), null, FAILOVER).toTable().contains("watch"));
  }
}
