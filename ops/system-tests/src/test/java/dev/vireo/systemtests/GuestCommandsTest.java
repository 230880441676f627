package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceStub;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.PortForwardStart;
import io.grpc.Context;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Commands, files and ports in guests, from a client to the agent of a guest and back. */
@Tag("linux")
class GuestCommandsTest {
  private static final String NAME = "projects/default/microvms/";

  private static final String SLEEPERS = "ps -o args | grep '^sleep 4711' | wc -l";

  /** Those of the kernel come and go, and so would who counts, beside ps. */
  private static final String USER_PROCESSES = "all=$(ps -o args); echo \"$all\" | grep -vc '^\\['";

  private static final boolean FULL = Boolean.getBoolean("vireo.test.full");

  private static final int COMMANDS = FULL ? 1_000 : 100;

  /** Until what is loaded or opened once is there. */
  private static final int WARM_UP = 20;

  private static final int FILE_MIB = FULL ? 100 : 8;

  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  @TempDir private Path directory;
  private final LinuxCluster cluster = CLUSTER.cluster();
  private final LinuxGuests guests = cluster.guests();
  private final Vireo vireo = cluster.vireo();

  @BeforeEach
  void aContainerIsThere() {
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder().setArchitecture(Architecture.X86_64).setVcpus(1).setMemoryMib(256);
    spec.getContainerBuilder().setImage("busybox").addAllArguments(List.of("sleep", "100000"));
    guests.start("box", spec);
  }

  private MicroVmServiceStub api() {
    return MicroVmServiceGrpc.newStub(cluster.channel())
        .withDeadlineAfter(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
  }

  private String exec(String script) {
    Vireo.Result result = vireo.run("exec", "box", "--", "sh", "-c", script);
    assertEquals(0, result.exitCode(), result.err());
    return result.out();
  }

  @Test
  void aCommandHasItsStreamsAndItsExitStatus() {
    Vireo.Result result =
        vireo.runWith(
            new ByteArrayInputStream("first\nsecond\n".getBytes(UTF_8)),
            "exec",
            "-i",
            "-e",
            "NAME=value",
            "-w",
            "/tmp",
            "box",
            "--",
            "sh",
            "-c",
            "read line; echo $line $NAME $PWD; cat >&2; exit 7");

    assertEquals("first value /tmp\n", result.out());
    assertEquals("second\n", result.err());
    assertEquals(7, result.exitCode());
    assertEquals(127, vireo.run("exec", "box", "--", "/no/such").exitCode());
    Vireo.Result nobody = vireo.run("exec", "-u", "no-such-user", "box", "--", "true");
    assertEquals(126, nobody.exitCode());
    assertTrue(nobody.err().contains("start.user: "), nobody.err());
  }

  @Test
  void filesArriveAsTheyWereInBothDirections() throws IOException {
    byte[] content = new byte[FILE_MIB << 20];
    new Random(1).nextBytes(content);
    Path there = directory.resolve("there");
    Files.createDirectories(there.resolve("deep"));
    Files.write(there.resolve("deep/file"), content);
    Files.createSymbolicLink(there.resolve("link"), Path.of("deep/file"));

    assertEquals(0, vireo.run("cp", there.toString(), "box:/tmp").exitCode());
    assertEquals(
        (FILE_MIB << 20) + " deep/file\n",
        exec("cd /tmp/there; echo $(wc -c < link) $(readlink link)"));
    Path back = directory.resolve("back");
    assertEquals(0, vireo.run("cp", "box:/tmp/there", back.toString()).exitCode());

    assertArrayEquals(content, Files.readAllBytes(back.resolve("deep/file")));
    assertEquals(Path.of("deep/file"), Files.readSymbolicLink(back.resolve("link")));
  }

  @Test
  void aPortIsReachedWithoutANetwork() throws Exception {
    var _ = exec("mkdir -p /www; echo hello > /www/index.html; httpd -p 127.0.0.1:8000 -h /www");
    CompletableFuture<ByteString> answer = new CompletableFuture<>();
    StreamObserver<PortForwardRequest> request =
        api()
            .portForward(
                new StreamObserver<PortForwardResponse>() {
                  private ByteString all = ByteString.EMPTY;

                  @Override
                  public void onNext(PortForwardResponse response) {
                    all = all.concat(response.getData());
                  }

                  @Override
                  public void onError(Throwable failure) {
                    answer.completeExceptionally(failure);
                  }

                  @Override
                  public void onCompleted() {
                    answer.complete(all);
                  }
                });
    request.onNext(
        PortForwardRequest.newBuilder()
            .setStart(PortForwardStart.newBuilder().setName(NAME + "box").setPort(8000))
            .build());
    request.onNext(
        PortForwardRequest.newBuilder()
            .setData(ByteString.copyFromUtf8("GET / HTTP/1.0\r\n\r\n"))
            .build());
    request.onCompleted();

    String page = answer.get(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS).toStringUtf8();
    assertTrue(page.startsWith("HTTP/1.1 200 OK") && page.endsWith("\r\n\r\nhello\n"), page);
  }

  @Test
  void aClientThatGoesTakesItsCommandAlong() throws Exception {
    CompletableFuture<Void> started = new CompletableFuture<>();
    Context.CancellableContext client = Context.current().withCancellation();
    client.run(() -> {
      StreamObserver<ExecRequest> request = api().exec(observer(started));
      request.onNext(
          ExecRequest.newBuilder()
              .setStart(
                  ExecStart.newBuilder()
                      .setName(NAME + "box")
                      .addAllArguments(List.of("sleep", "4711")))
              .build());
    });
    started.get(LinuxCluster.PATIENCE.toSeconds(), TimeUnit.SECONDS);
    assertEquals("1\n", exec(SLEEPERS));

    client.cancel(null);

    await("the command is gone")
        .atMost(LinuxCluster.PATIENCE)
        .until(() -> exec(SLEEPERS).equals("0\n"));
  }

  private static StreamObserver<ExecResponse> observer(CompletableFuture<Void> started) {
    return new StreamObserver<>() {
      @Override
      public void onNext(ExecResponse response) {
        started.complete(null);
      }

      @Override
      public void onError(Throwable failure) {
        started.completeExceptionally(failure);
      }

      @Override
      public void onCompleted() {
        started.complete(null);
      }
    };
  }

  @Test
  void manyCommandsLeaveNothing() throws IOException {
    runMany(WARM_UP);
    String processes = exec(USER_PROCESSES);
    Held before = held();

    runMany(COMMANDS);

    assertEquals(processes, exec(USER_PROCESSES));
    await("all that was opened is closed")
        .atMost(Duration.ofMinutes(1))
        .untilAsserted(() -> held().assertIsAbout(before));
  }

  private void runMany(int commands) {
    for (int i = 0; i < commands; i++) {
      assertEquals(3, vireo.run("exec", "box", "--", "sh", "-c", "exit 3").exitCode());
    }
  }

  /**
   * What a guest and those on the way to it hold.
   *
   * @param agentKib resident memory of the agent
   */
  private record Held(
      int agentDescriptors,
      int agentKib,
      int vmmDescriptors,
      int workerDescriptors,
      int controllerDescriptors) {

    /** Sessions and files come and go by themselves, but not a tenth of what commands would. */
    private static final int DESCRIPTORS = COMMANDS / 10;

    /** Less than a kilobyte of each of a thousand commands; an idle agent has some 152. */
    private static final int KIB = 256;

    void assertIsAbout(Held before) {
      String both = "before %s, after %s".formatted(before, this);
      assertTrue(agentDescriptors <= before.agentDescriptors, both);
      assertTrue(agentKib <= before.agentKib + KIB, both);
      assertTrue(vmmDescriptors <= before.vmmDescriptors + DESCRIPTORS, both);
      assertTrue(workerDescriptors <= before.workerDescriptors + DESCRIPTORS, both);
      assertTrue(controllerDescriptors <= before.controllerDescriptors + DESCRIPTORS, both);
    }
  }

  private Held held() throws IOException {
    String[] agent =
        exec("ls /proc/1/fd | wc -l; grep VmRSS: /proc/1/status | tr -dc 0-9").split("\\s+", -1);
    String[] node =
        cluster
            .askNode(
                Architecture.X86_64,
                """
                ls /proc/%d/fd | wc -l
                for process in /proc/[0-9]*; do
                  if grep -q worker.args $process/cmdline; then ls $process/fd | wc -l; fi
                done 2> /dev/null
                true\
                """
                    .formatted(guests.inspect("box").getVmmPid()))
            .strip()
            .split("\\s+", -1);
    return new Held(
        Integer.parseInt(agent[0]),
        Integer.parseInt(agent[1]),
        Integer.parseInt(node[0]),
        Integer.parseInt(node[1]),
        cluster.controllerDescriptors());
  }

  /** As a process among others, which a guest's own init has started. */
  @Test
  void anAgentNeedsNotBeTheInit() {
    MicroVmSpec.Builder spec = LinuxGuests.debian("agent,idle");
    spec.getVsockBuilder();
    guests.start("debian", spec);

    Vireo.Result result =
        vireo.run("exec", "debian", "--", "/bin/busybox", "sh", "-c", "echo $((6 * 7))");

    assertEquals("42\n", result.out(), result.err());
  }
}
