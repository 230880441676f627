package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.cli.TopView.Look;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.QueueInspection;
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
    Look quiet = look("quiet", 7, 100, 100, 100);
    Look busyBefore = look("busy", 8, 1_000, 1 << 20, 50);
    Look busyAfter = look("busy", 8, 5_000, 3 << 20, 60);
    Look restartedBefore = look("restarted", 9, 9_000, 9_000, 9_000);
    Look restartedAfter = look("restarted", 10, 20, 0, 0);

    assertEquals(
        """
        NAME       NODE  VCPUS  MEMORY   I/O /s  BYTES /s  EXITS /s
        busy       a     2      2.0 MiB  2,000   1.0 MiB   5
        restarted  a     2      2.0 MiB  10      0 B       0
        and 1 more
        """,
        top(
            Map.of("busy", busyBefore, "restarted", restartedBefore, "quiet", quiet),
            List.of(quiet, restartedAfter, busyAfter),
            2));
  }

  @Test
  void oneThatIsNewCountsFromItsStart() {
    String all = top(Map.of(), List.of(look("new", 1, 200, 0, 0)), 5);

    assertTrue(all.contains("new   a     2      2.0 MiB  100 "), all);
  }

  @Test
  void onceIsNodesAndMicroVmsAndTheEnd() {
    try (FakeController controller = new FakeController()) {
      Cli cli = new Cli(controller);

      assertEquals(ExitCode.OK, cli.run("top", "--once", "--interval", "10ms"));

      assertEquals(
          """
          NODE  HEALTH  CPU  MEMORY  MICROVMS  WARM

          NAME  NODE  VCPUS  MEMORY  I/O /s  BYTES /s  EXITS /s
          """,
          cli.out());
    }
  }

  private static String top(Map<String, Look> before, List<Look> after, int most) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    TopView.print(
        before,
        after,
        Duration.ofSeconds(2),
        most,
        new PrintStream(out, true, StandardCharsets.UTF_8));
    return out.toString(StandardCharsets.UTF_8);
  }

  private static Look look(String id, long pid, long requests, long bytes, long exits) {
    MicroVm.Builder microVm = MicroVm.newBuilder();
    microVm.getMetaBuilder().setName("projects/default/microvms/" + id).setUid(id);
    microVm.getSpecBuilder().setVcpus(2);
    microVm.getStatusBuilder().setNode("nodes/a");
    Inspection.Builder inspection =
        Inspection.newBuilder().setVmmPid(pid).setPssBytes(2 << 20).putExits("hlt", exits);
    inspection
        .addDevicesBuilder()
        .addQueues(QueueInspection.newBuilder().setRequests(requests))
        .putCounters("bytes_read", bytes)
        .putCounters("flushes", 1_000);
    return new Look(microVm.build(), inspection.build());
  }
}
