package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.protobuf.util.Durations;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.MicroVmStatus;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.Termination;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What a microVM may take of its node, and for how long, with real processes and guests. */
@Tag("kvm")
class LimitsTest {
  @RegisterExtension static final ClusterExtension CLUSTER = new ClusterExtension(1);

  private final MicroVms microVms = CLUSTER.microVms();

  @Test
  void aGuestThatSpinsIsHeldToItsCpuLimit() throws IOException {
    MicroVmSpec.Builder spec = ProbeSpec.of("probe.run=spin").toBuilder();
    spec.getLimitsBuilder().setCpuMilli(50);
    microVms.create("greedy", spec.build(), Wait.WAIT_RUNNING);
    Path group = cpuGroup(microVms.inspect("greedy").getVmmPid());

    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> stat(group, "nr_throttled") > 0 && stat(group, "nr_periods") > 0);

    microVms.delete("greedy");
    await().atMost(ClusterExtension.PATIENCE).until(() -> !Files.exists(group));
  }

  @Test
  void whatHasRunForItsTimeEndsWhateverItsRestartPolicy() {
    MicroVmSpec.Builder spec = ProbeSpec.of("probe.run=idle").toBuilder();
    spec.getLifecycleBuilder()
        .setMaxRunTime(Durations.fromSeconds(1))
        .setRestartPolicy(RestartPolicy.ALWAYS);
    microVms.create("timed", spec.build(), Wait.WAIT_RUNNING);

    MicroVmStatus end = awaitEnd("timed");

    assertEquals(Termination.Cause.RUN_TIME_EXCEEDED, end.getTermination().getCause());
    assertEquals(MicroVmState.FAILED, end.getState());
    assertTrue(end.getTermination().getMessage().contains("1s"), end::toString);
  }

  @Test
  void whatNobodyUsesIsStoppedAndCanBeStartedAgain() {
    MicroVmSpec.Builder spec = ProbeSpec.of("probe.run=idle").toBuilder();
    spec.getVsockBuilder();
    spec.getLifecycleBuilder().setIdleTimeout(Durations.fromSeconds(1));
    microVms.create("unused", spec.build(), Wait.WAIT_RUNNING);

    MicroVmStatus end = awaitEnd("unused");

    assertEquals(Termination.Cause.IDLE_TIMEOUT, end.getTermination().getCause());
    assertEquals(MicroVmState.STOPPED, end.getState());
    var _ =
        microVms
            .api()
            .startMicroVm(
                SteerMicroVmRequest.newBuilder().setName(microVms.name("unused")).build());
    await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> microVms.get("unused").getStatus().getAttempt() > end.getAttempt());
  }

  private MicroVmStatus awaitEnd(String id) {
    return await()
        .atMost(ClusterExtension.PATIENCE)
        .until(() -> microVms.get(id).getStatus(), MicroVmStatus::hasTermination);
  }

  /** Where the process is, by /proc/PID/cgroup (cgroups(7)) and the usual mounts. */
  private static Path cpuGroup(long pid) throws IOException {
    List<String> groups = Files.readAllLines(Path.of("/proc/" + pid + "/cgroup"));
    for (String line : groups) {
      String[] fields = line.split(":", 3);
      boolean unified = fields[1].isEmpty();
      if (fields[2].startsWith("/vireo/")
          && (unified || List.of(fields[1].split(",")).contains("cpu"))) {
        Path mount = Path.of("/sys/fs/cgroup").resolve(unified ? "" : fields[1]);
        return Path.of(mount + fields[2]);
      }
    }
    assumeTrue(false, () -> "this host has no control groups that can be used: " + groups);
    throw new AssertionError();
  }

  private static long stat(Path group, String name) throws IOException {
    return Files.readAllLines(group.resolve("cpu.stat")).stream()
        .filter(line -> line.startsWith(name + " "))
        .mapToLong(line -> Long.parseLong(line.substring(name.length() + 1)))
        .sum();
  }
}
