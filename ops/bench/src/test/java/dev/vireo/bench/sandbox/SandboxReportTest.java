package dev.vireo.bench.sandbox;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.vireo.bench.Samples;
import dev.vireo.bench.sandbox.RootImages.Format;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

final class SandboxReportTest {
  private static final JsonObject DEVICES =
      JsonParser.parseString(
              """
              {
                "vsock_round_trips_per_second": {"vireo": 3000.5, "vireo_range": [2900, 3100]},
                "net_bytes_per_second": {
                  "bytes1500": {"vireo": 104857600, "qemu_microvm": 52428800, "ratio": 2.0}
                },
                "net_packets_per_second": {}, "run": {"load": "not ours"}
              }
              """)
          .getAsJsonObject();

  private static final FirstByte.Result FIRST_BYTE =
      new FirstByte.Result(
          List.of(
              new FirstByte.Run(1_000, 10, 90, 800, 100),
              new FirstByte.Run(1_200, 10, 90, 900, 200),
              new FirstByte.Run(3_000, 11, 91, 2_500, 398)),
          Samples.of(40, 50, 60));

  private static final Map<Format, RootFormats.Result> FORMATS =
      Map.of(
          Format.EROFS,
          new RootFormats.Result(20, Samples.of(7, 9, 8), Samples.of(17, 19, 18), 30, 40, 12));

  private static SandboxReport report(Samples probeExec) {
    return new SandboxReport(
        Map.of("load", "0.1"),
        Optional.of(
            new ProbeExec.Result(
                probeExec, Samples.of(0.5), Samples.of(0.25), Map.of("worker", 700.0))),
        Optional.of(new VsockStreams.Result(Samples.of(1 << 20, 3 << 20, 2 << 20), Samples.of(9))),
        DEVICES,
        Optional.of(FIRST_BYTE),
        Optional.of(
            new ExecAndSsh.Result(Samples.of(50, 60, 40), Samples.of(100), Samples.of(1_000))),
        FORMATS);
  }

  @Test
  void itsKeysAreAContract() {
    JsonObject json =
        JsonParser.parseString(report(Samples.of(1, 2, 3)).toJson()).getAsJsonObject();

    assertEquals(
        Set.of(
            "run_to_first_byte_ms",
            "probe_exec_ms",
            "probe_exec_cpu_us",
            "exec_ms",
            "ssh_ms",
            "exec_to_ssh_ratio",
            "vsock_bytes_per_second",
            "vsock_round_trips_per_second",
            "net_bytes_per_second",
            "root_formats",
            "run"),
        json.keySet());
    JsonObject first = json.getAsJsonObject("run_to_first_byte_ms");
    assertEquals(
        Set.of(
            "p50",
            "max",
            "placement",
            "vmm",
            "kernel_and_agent",
            "process",
            "spec_to_first_instruction"),
        first.keySet());
    assertEquals(1_200, first.get("p50").getAsDouble());
    assertEquals(900, first.get("kernel_and_agent").getAsDouble());
    JsonObject probe = json.getAsJsonObject("probe_exec_ms");
    assertEquals(Set.of("p50", "p99", "max", "controller_alone", "guest_alone"), probe.keySet());
    assertEquals(0.25, probe.getAsJsonObject("guest_alone").get("p99").getAsDouble());
    assertEquals(0.5, json.getAsJsonObject("exec_to_ssh_ratio").get("connected").getAsDouble());
    assertEquals(
        2 << 20,
        json.getAsJsonObject("vsock_bytes_per_second")
            .getAsJsonObject("to_guest")
            .get("vireo")
            .getAsInt());
    assertEquals(
        Set.of(
            "file_mib",
            "boot_ms",
            "first_byte_ms",
            "vmm_pss_mib",
            "guest_cache_mib",
            "node_cache_mib"),
        json.getAsJsonObject("root_formats").getAsJsonObject("erofs").keySet());
    assertEquals("0.1", json.getAsJsonObject("run").get("load").getAsString());
  }

  @Test
  void peopleSeeRatiosAndWhetherTheTargetIsMet() {
    String met = report(Samples.of(1, 2, 4.9)).toTable();
    String missed = report(Samples.of(1, 2, 5.1)).toTable();

    assertTrue(met.contains("p99 <= 5: met"), met);
    assertTrue(missed.contains("p99 <= 5: MISSED"), missed);
    assertTrue(met.contains("0.50 of it") && met.contains("0.05 of it"), met);
    assertTrue(met.contains("net, packets of 1500 B, MiB/s"), met);
    assertTrue(met.contains("erofs"), met);
  }

  @Test
  void whatWasNotAskedForIsNotTold() {
    SandboxReport nothing =
        new SandboxReport(
            Map.of(),
            Optional.empty(),
            Optional.empty(),
            new JsonObject(),
            Optional.empty(),
            Optional.empty(),
            Map.of());

    assertEquals("", nothing.toTable());
    assertFalse(nothing.toJson().contains("exec"));
  }
}
