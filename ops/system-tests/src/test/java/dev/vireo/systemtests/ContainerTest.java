package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination;
import java.io.IOException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Containers: the built-in image on Debian's kernel, as its user meets them. */
@Tag("linux")
class ContainerTest {
  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  private final LinuxCluster cluster = CLUSTER.cluster();
  private final LinuxGuests guests = cluster.guests();

  private static MicroVmSpec.Builder busybox(String script) {
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder().setArchitecture(Architecture.X86_64).setVcpus(1).setMemoryMib(256);
    spec.getContainerBuilder()
        .setImage("busybox")
        .addArguments("sh")
        .addArguments("-c")
        .addArguments(script);
    return spec;
  }

  @Test
  void aCommandsOutputAndExitStatusAreThoseOfRun() {
    Vireo.Result result =
        cluster
            .vireo()
            .run(
                Stream.concat(
                        Stream.of(
                            "run --rm --image busybox --arch x86_64 -e GREETING=hi -w /tmp -u 1000 --"
                                .split(" ")),
                        Stream.of(
                            "sh",
                            "-c",
                            "echo $GREETING from $PWD as $(id -u); echo oops >&2; exit 7"))
                    .toArray(String[]::new));

    assertEquals("hi from /tmp as 1000\n", result.out(), result.err());
    assertEquals("oops\n", result.err());
    assertEquals(7, result.exitCode());
    assertTrue(guests.list().isEmpty(), "--rm");
  }

  @Test
  void itsRootIsTheImagesBelowALayerOfItsOwn() {
    guests.start(
        "layered",
        busybox(
            """
            mount | grep -q ' / type overlay' || exit 1
            rm /bin/true && echo changed > /etc/changed && dd if=/dev/zero of=/large bs=1M count=64
            sync
            df -m / | tail -1 | awk '{ print ($2 > 900) ? "a gigabyte" : $2 }'
            """));

    Termination end = guests.awaitEnd("layered");
    assertEquals(Termination.Cause.PROCESS_ENDED, end.getCause(), end::toString);
    assertEquals(0, end.getExitStatus(), () -> guests.console("layered"));
    assertTrue(guests.console("layered").contains("a gigabyte"), () -> guests.console("layered"));
    assertEquals(MicroVmState.STOPPED, guests.status("layered").getState());
  }

  @Test
  void aStopIsASignalToTheProcess() {
    guests.start(
        "stopped", busybox("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 1; done"));
    guests.awaitConsole("stopped", "up");

    guests.stop("stopped");

    assertEquals(Termination.Cause.STOPPED_BY_REQUEST, guests.awaitEnd("stopped").getCause());
    String output = guests.console("stopped");
    assertTrue(output.startsWith("up\n") && output.endsWith("bye\n"), output);
  }

  @Test
  void whatTheProcessWritesWhileItsWorkerIsKilledIsThereAfterwards() throws IOException {
    guests.start(
        "lasting", busybox("i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 1; done"));
    guests.awaitConsole("lasting", "line 2");

    cluster.killWorker(Architecture.X86_64);

    guests.awaitConsole("lasting", "line 39");
    assertEquals(0, guests.awaitEnd("lasting").getExitStatus());
    String output = guests.console("lasting");
    long lines = output.lines().filter(line -> line.startsWith("line ")).distinct().count();
    assertTrue(lines >= 38, "what was on its way to the worker that was killed is lost: " + output);
    assertFalse(output.contains("line 0\nline 0"), "it was not started again");
  }

  @Test
  void anImageThatTheNodeCannotGetIsRefusedAndNothingIsLeft() {
    Vireo.Result result =
        cluster
            .vireo()
            .run(
                "run --rm --image nowhere.example/x --pull never --arch x86_64 --wait ready"
                    .split(" "));

    assertEquals(125, result.exitCode());
    assertTrue(result.err().contains("CONTAINER_IMAGE_NOT_FOUND"), result.err());
    await().atMost(LinuxCluster.PATIENCE).until(() -> guests.list().isEmpty());
  }

  @Test
  void aProgramThatIsNotThereEndsAsShellsSay() {
    Vireo.Result result =
        cluster.vireo().run("run --rm --image busybox --arch x86_64 -- /no/such".split(" "));

    assertEquals(127, result.exitCode(), result.err());
  }
}
