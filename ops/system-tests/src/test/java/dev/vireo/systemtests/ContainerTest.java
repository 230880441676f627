package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

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
  void whatRunsAwayDoesSoWithinItsLimitAndTheMachineLivesOn() {
    // The shell that cannot fork any more ends, and another process takes its place.
    MicroVmSpec.Builder spec =
        busybox(
            """
            (while :; do sleep 100000 & done) 2>/dev/null
            sleep 100000 &
            echo full
            exec sleep 100000
            """);
    spec.getContainerBuilder().setPidsLimit(16);
    guests.start("limited", spec);
    guests.awaitConsole("limited", "full");

    Vireo.Result tried = cluster.vireo().run("exec", "limited", "--", "true");

    assertEquals(125, tried.exitCode(), tried::toString);
    assertTrue(tried.err().contains("Resource temporarily unavailable"), tried::toString);
    guests.stop("limited");
    assertEquals(Termination.Cause.STOPPED_BY_REQUEST, guests.awaitEnd("limited").getCause());
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
  void standardInputIsReadToItsEnd() {
    Vireo.Result result =
        cluster
            .vireo()
            .runWith(
                new ByteArrayInputStream("hi\n".getBytes(UTF_8)),
                "run -i --rm --image busybox --arch x86_64 -- cat".split(" "));

    assertEquals("hi\n", result.out(), result.err());
    assertEquals(0, result.exitCode());
  }

  @Test
  void aTerminalIsSatAtAlsoAfterItsWorkerWasKilled() throws Exception {
    MicroVmSpec.Builder shell = busybox("exec sh -i");
    shell.getContainerBuilder().setStdin(true).setTerminal(true);
    guests.start("shell", shell);
    BlockingClientCall<AttachRequest, AttachResponse> before = attach();
    type(before, "x=42; echo is $((x+1)); stty size\n");
    assertTrue(written(before, "30 100").contains("is 43"));
    before.cancel("left", null);

    cluster.killWorker(Architecture.X86_64);

    BlockingClientCall<AttachRequest, AttachResponse> after =
        await()
            .atMost(LinuxCluster.PATIENCE)
            .ignoreException(StatusException.class)
            .until(this::attached, Objects::nonNull);
    type(after, "echo is still $((x+2)); exit 5\n");
    var _ = written(after, "is still 44");
    assertEquals(5, exitStatus(after));
  }

  private BlockingClientCall<AttachRequest, AttachResponse> attach() throws Exception {
    BlockingClientCall<AttachRequest, AttachResponse> call =
        MicroVmServiceGrpc.newBlockingV2Stub(cluster.channel())
            .withDeadlineAfter(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS)
            .attach();
    call.write(
        AttachRequest.newBuilder()
            .setStart(
                AttachStart.newBuilder()
                    .setName("projects/default/microvms/shell")
                    .setStdin(true)
                    .setTerminal(ConsoleSize.newBuilder().setColumns(100).setRows(30)))
            .build());
    return call;
  }

  /** One that its worker has taken. */
  private BlockingClientCall<AttachRequest, AttachResponse> attached() throws Exception {
    BlockingClientCall<AttachRequest, AttachResponse> call = attach();
    assertTrue(requireNonNull(call.read()).hasStarted());
    return call;
  }

  private static void type(BlockingClientCall<AttachRequest, AttachResponse> call, String text)
      throws Exception {
    call.write(AttachRequest.newBuilder().setStdin(ByteString.copyFromUtf8(text)).build());
  }

  /** What it writes, until that contains this. */
  private static String written(
      BlockingClientCall<AttachRequest, AttachResponse> call, String expected) throws Exception {
    StringBuilder all = new StringBuilder();
    while (all.indexOf(expected) < 0) {
      all.append(requireNonNull(call.read(), "the call has ended").getStdout().toStringUtf8());
    }
    return all.toString();
  }

  private static int exitStatus(BlockingClientCall<AttachRequest, AttachResponse> call)
      throws Exception {
    AttachResponse response = requireNonNull(call.read());
    while (!response.hasExited()) {
      response = requireNonNull(call.read());
    }
    return response.getExited().getStatus();
  }

  /** Debian's busybox, which an emulated node is made of, so that its package is here. */
  private static Path busyboxLayer(Path scratch) throws Exception {
    try (Stream<Path> files = Files.list(LinuxCluster.cache().resolve("packages"))) {
      Path archive =
          files
              .filter(file -> file.toString().matches(".*/busybox-static_.*_amd64.deb"))
              .max(Comparator.naturalOrder())
              .orElseThrow();
      Process unpack =
          new ProcessBuilder("dpkg-deb", "-x", archive.toString(), scratch.toString())
              .inheritIO()
              .start();
      assertEquals(0, unpack.waitFor());
    }
    return scratch.resolve("bin/busybox");
  }

  @Test
  void anImageInAFileIsBroughtToTheNodeAndRun(@TempDir Path directory) throws Exception {
    byte[] layer = SavedImage.layer(busyboxLayer(directory), "bin/busybox");
    Path file = directory.resolve("brought.tar");
    Files.write(file, SavedImage.of("vireo-tests/brought:1", "amd64", layer));

    Vireo.Result run =
        cluster
            .vireo()
            .run(
                "run",
                "--rm",
                "--arch",
                "x86_64",
                "--image",
                file.toString(),
                "--",
                "busybox",
                "echo",
                "brought");

    assertEquals("brought\n", run.out(), run.err());
    assertEquals(0, run.exitCode(), run.err());
    String node = LinuxCluster.nameOf(Architecture.X86_64);
    Vireo.Result removed =
        cluster.vireo().run("image", "rm", "--node", node, "vireo-tests/brought:1");
    assertEquals(0, removed.exitCode(), removed.err());
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
