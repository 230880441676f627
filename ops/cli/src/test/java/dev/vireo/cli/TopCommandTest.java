package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.GsonBuilder;
import com.google.protobuf.util.Durations;
import dev.vireo.cli.TopView.Look;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.QueueInspection;
import dev.vireo.proto.v1.ResourceMeta;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What microVMs do, by the second. */
final class TopCommandTest {
  @Test
  void ratesAreWhatHasHappenedBetweenTwoLooks() {
    Look quiet = look("quiet", 7, 100, 100, 100, 500);
    Look busyBefore = look("busy", 8, 1_000, 1 << 20, 50, 10_250);
    Look busyAfter = look("busy", 8, 5_000, 3 << 20, 60, 13_250);
    Look restartedBefore = look("restarted", 9, 9_000, 9_000, 9_000, 9_000);
    Look restartedAfter = look("restarted", 10, 20, 0, 0, 9_500);

    assertEquals(
        """
        NAME       NODE  VCPUS  CPU   MEMORY   I/O /s  BYTES /s  EXITS /s
        busy       a     2      1.50  2.0 MiB  2,000   1.0 MiB   5
        restarted  a     2      -     2.0 MiB  10      0 B       0
        and 1 more
        """,
        top(
            Map.of("busy", busyBefore, "restarted", restartedBefore, "quiet", quiet),
            List.of(quiet, restartedAfter, busyAfter),
            2));
  }

  @Test
  void oneThatIsNewCountsFromItsStart() {
    String all = top(Map.of(), List.of(look("new", 1, 200, 0, 0, 300)), 5);

    assertTrue(all.contains("new   a     2      -    2.0 MiB  100 "), all);
  }

  @Test
  void onceIsNodesAndMicroVmsAndTheEnd() {
    try (FakeController controller = new FakeController()) {
      Cli cli = new Cli(controller);

      assertEquals(ExitCode.OK, cli.run("top", "--once", "--interval", "10ms"));

      assertEquals(
          """
          NODE  HEALTH  CPU  CPU PROMISED  MEMORY PROMISED  MICROVMS  WARM

          NAME  NODE  VCPUS  CPU  MEMORY  I/O /s  BYTES /s  EXITS /s
          """,
          cli.out());
    }
  }

  @Test
  void aNodesCpuUseIsThatOfItsMicroVms() {
    List<Look> before = List.of(look("a", 1, 0, 0, 0, 100), look("b", 2, 0, 0, 0, 0));
    List<Look> after = List.of(look("a", 1, 0, 0, 0, 300), look("b", 2, 0, 0, 0, 900));

    TopView view =
        TopView.between(
            Map.of("a", before.get(0), "b", before.get(1)), after, Duration.ofSeconds(2));

    assertEquals(0.55, view.cpusOf("a"), 1e-9);
    assertEquals(0, view.cpusOf("another"));
  }

  @Test
  void aNodeThatCannotTellIsShownSo() {
    Look silent = look("silent", 1, 0, 0, 0, 0);
    Look unset = new Look(silent.microVm(), silent.inspection().toBuilder().clearCpuTime().build());

    String all = top(Map.of("silent", unset), List.of(unset), 5);

    assertTrue(all.contains("silent  a     2      -    2.0 MiB"), all);
  }

  @Test
  void scriptsGetItAsJson() {
    Node node =
        Node.newBuilder()
            .setMeta(ResourceMeta.newBuilder().setName("nodes/a"))
            .setStatus(
                NodeStatus.newBuilder()
                    .setHealth(NodeStatus.Health.READY)
                    .setMicrovmCount(2)
                    .setAllocated(NodeResources.newBuilder().setCpuMilli(2500).setMemoryMib(256)))
            .build();
    TopView view =
        TopView.between(
            Map.of("busy", look("busy", 8, 1_000, 0, 50, 10_250)),
            List.of(look("busy", 8, 5_000, 0, 60, 13_250), look("new", 1, 0, 0, 0, 300)),
            Duration.ofSeconds(2));

    assertEquals(
        """
        {"nodes":[{"name":"a","health":"READY","cpus":1.5,"cpusPromised":2.5,\
        "memoryMibPromised":256,"microvms":2}],\
        "microvms":[{"name":"busy","node":"a","vcpus":2,"cpus":1.5,"memoryBytes":2097152,\
        "ioPerSecond":2000.0,"bytesPerSecond":0.0,"exitsPerSecond":5.0},\
        {"name":"new","node":"a","vcpus":2,"cpus":null,"memoryBytes":2097152,\
        "ioPerSecond":0.0,"bytesPerSecond":0.0,"exitsPerSecond":0.0}]}\
        """,
        new GsonBuilder().serializeNulls().create().toJson(view.json(List.of(node))));
  }

  @Test
  void onceIsOneDocumentForScripts() {
    try (FakeController controller = new FakeController()) {
      Cli cli = new Cli(controller);

      assertEquals(ExitCode.OK, cli.run("top", "--once", "--interval", "10ms", "-o", "json"));

      assertEquals(
          """
          {
            "nodes": [],
            "microvms": []
          }
          """,
          cli.out());
    }
  }

  private static String top(Map<String, Look> before, List<Look> after, int most) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    TopView.between(before, after, Duration.ofSeconds(2))
        .print(most, new PrintStream(out, true, StandardCharsets.UTF_8));
    return out.toString(StandardCharsets.UTF_8);
  }

  private static Look look(
      String id, long pid, long requests, long bytes, long exits, long cpuMillis) {
    MicroVm.Builder microVm = MicroVm.newBuilder();
    microVm.getMetaBuilder().setName("projects/default/microvms/" + id).setUid(id);
    microVm.getSpecBuilder().setVcpus(2);
    microVm.getStatusBuilder().setNode("nodes/a");
    Inspection.Builder inspection =
        Inspection.newBuilder().setVmmPid(pid).setPssBytes(2 << 20).putExits("hlt", exits);
    inspection.setCpuTime(Durations.fromMillis(cpuMillis));
    inspection
        .addDevicesBuilder()
        .addQueues(QueueInspection.newBuilder().setRequests(requests))
        .putCounters("bytes_read", bytes)
        .putCounters("flushes", 1_000);
    return new Look(microVm.build(), inspection.build());
  }
}
