package dev.vireo.cli;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Balloon;
import dev.vireo.proto.v1.ConsolePort;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.Disk;
import dev.vireo.proto.v1.ImagePull;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.MemoryBacking;
import dev.vireo.proto.v1.MemoryHotplug;
import dev.vireo.proto.v1.Metadata;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.RateLimit;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import dev.vireo.proto.v1.TokenBucket;
import dev.vireo.proto.v1.VmmCompiler;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RunCommandTest {
  private static final String JOB = "projects/default/microvms/job";

  private final FakeController controller = new FakeController().add(nodeWithImages());
  private final Cli cli = new Cli(controller);

  @AfterEach
  void close() {
    controller.close();
  }

  @Test
  void turnsOptionsIntoASpec() {
    assertEquals(
        ExitCode.OK,
        cli.run(
            "run job --project default --kernel /boot/vmlinuz --vcpus 2 --memory 1G".split(" "),
            "--disk root=/srv/root.raw --disk /srv/data.raw,ro --announcement acpi".split(" "),
            "--label a=b --node-selector zone=x --ttl 1h30m --restart on_failure".split(" "),
            "--max-run-time 10m --idle-timeout 90s --cpu-limit 0.25 --cpu-weight 7".split(" "),
            "--entropy --vsock --register-page strict --compiler fast --net auto".split(" "),
            "--memory-backing shared --balloon 64M,reporting,statistics=1500ms,deflate-on-oom"
                .split(" "),
            "--disk fast=/srv/a,b,direct,queues=4,rate=10M,iops=500,back-end=blk/file,ro"
                .split(" "),
            "--memory-hotplug 4G,size=512,block=128M".split(" "),
            "--console-port hvc0,console=132x43 --console-port log,console".split(" "),
            "--console-port org.example.agent".split(" "),
            "--net id=lan,tap=tap0,mac=02:00:00:00:00:01,queues=2,mtu=1400,rx=10M,tx=500"
                .split(" "),
            new String[] {"--cmdline", "quiet panic=-1"}));

    CreateMicroVmRequest request = controller.creates.getFirst();
    assertEquals("job", request.getMicrovmId());
    assertEquals("projects/default", request.getParent());
    assertEquals(36, request.getRequestId().length());
    assertEquals(Map.of("a", "b"), request.getMicrovm().getMeta().getLabelsMap());
    MicroVmSpec spec = request.getMicrovm().getSpec();
    assertEquals(2, spec.getVcpus());
    assertEquals(1024, spec.getMemoryMib());
    assertEquals("/boot/vmlinuz", spec.getBoot().getKernel());
    assertEquals("quiet panic=-1", spec.getBoot().getCommandLine());
    assertEquals(Announcement.ACPI, spec.getBoot().getAnnouncement());
    assertEquals(RegisterPageMode.REGISTER_PAGE_STRICT, spec.getVmm().getRegisterPage());
    assertEquals(VmmCompiler.VMM_COMPILER_FAST, spec.getVmm().getCompiler());
    assertEquals(
        List.of(
            disk("root", "/srv/root.raw", false),
            disk("disk1", "/srv/data.raw", true),
            Disk.newBuilder()
                .setId("fast")
                .setSource("/srv/a,b")
                .setReadOnly(true)
                .setDirect(true)
                .setQueues(4)
                .setBackEnd("blk/file")
                .setRateLimit(
                    bandwidth(10 << 20).toBuilder()
                        .setOperations(
                            TokenBucket.newBuilder().setCapacity(500).setRefillPerSecond(500)))
                .build()),
        spec.getDisksList());
    assertTrue(spec.hasEntropy());
    assertEquals(
        List.of(
            Network.newBuilder().setId("net0").build(),
            Network.newBuilder()
                .setId("lan")
                .setTap("tap0")
                .setMacAddress("02:00:00:00:00:01")
                .setQueuePairs(2)
                .setMtu(1400)
                .setRxRateLimit(bandwidth(10 << 20))
                .setTxRateLimit(bandwidth(500))
                .build()),
        spec.getNetworksList());
    assertEquals(MemoryBacking.MEMORY_SHARED, spec.getMemoryBacking());
    assertEquals(
        Balloon.newBuilder()
            .setTargetMib(64)
            .setStatisticsInterval(Duration.newBuilder().setSeconds(1).setNanos(500_000_000))
            .setDeflateOnOom(true)
            .setFreePageReporting(true)
            .build(),
        spec.getBalloon());
    assertEquals(
        MemoryHotplug.newBuilder().setMaximumMib(4096).setSizeMib(512).setBlockMib(128).build(),
        spec.getMemoryHotplug());
    assertEquals(
        List.of(
            ConsolePort.newBuilder()
                .setName("hvc0")
                .setConsole(true)
                .setSize(ConsoleSize.newBuilder().setColumns(132).setRows(43))
                .build(),
            ConsolePort.newBuilder().setName("log").setConsole(true).build(),
            ConsolePort.newBuilder().setName("org.example.agent").build()),
        spec.getVirtioConsole().getPortsList());
    assertTrue(spec.hasVsock());
    assertEquals(0, spec.getVsock().getCid());
    assertEquals(Map.of("zone", "x"), spec.getPlacement().getNodeSelectorMap());
    assertEquals(Lifecycle.RestartPolicy.ON_FAILURE, spec.getLifecycle().getRestartPolicy());
    assertEquals(Duration.newBuilder().setSeconds(5400).build(), spec.getLifecycle().getTtl());
    assertEquals(600, spec.getLifecycle().getMaxRunTime().getSeconds());
    assertEquals(90, spec.getLifecycle().getIdleTimeout().getSeconds());
    assertEquals(250, spec.getLimits().getCpuMilli());
    assertEquals(7, spec.getLimits().getCpuWeight());
    assertEquals("job PENDING\n", cli.out());
  }

  private static RateLimit bandwidth(long bytes) {
    RateLimit.Builder limit = RateLimit.newBuilder();
    limit.getBandwidthBuilder().setCapacity(bytes).setRefillPerSecond(bytes);
    return limit.build();
  }

  @ParameterizedTest
  @ValueSource(strings = {"/d,queues=two", "/d,rate=fast", "/d,iops=1T"})
  void refusesDisksThatItDoesNotUnderstand(String disk) {
    assertEquals(ExitCode.USAGE, cli.run("run", "a", "--disk", disk));
    assertEquals(List.of(), controller.creates);
  }

  @ParameterizedTest
  @ValueSource(strings = {"tap0", "tap=tap0,speed=1", "queues=two", "rx=fast", "rx=1T", ""})
  void refusesNetworksThatItDoesNotUnderstand(String network) {
    assertEquals(ExitCode.USAGE, cli.run("run", "--net", network));
    assertEquals(List.of(), controller.creates);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "reporting", "64M,", "64M,oom", "64M,statistics=", "1T"})
  void refusesBalloonsThatItDoesNotUnderstand(String balloon) {
    assertEquals(ExitCode.USAGE, cli.run("run", "--balloon", balloon));
    assertEquals(List.of(), controller.creates);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "size=1G", "4G,", "4G,2G", "4G,size=", "4G,block=2K", "4T"})
  void refusesPluggableMemoryThatItDoesNotUnderstand(String hotplug) {
    assertEquals(ExitCode.USAGE, cli.run("run", "--memory-hotplug", hotplug));
    assertEquals(List.of(), controller.creates);
  }

  @Test
  void givesALinuxImageItsRootDiskAndABareMetalOneNone() {
    cli.run("run", "a");
    cli.run("run", "b", "--kernel", "probe");
    cli.run("run", "c", "--no-disk");
    cli.run("run", "d", "--kernel", "which-the-server-refuses");

    assertEquals(List.of(disk("root", "image:", false)), disks(0));
    assertFalse(controller.creates.getFirst().getMicrovm().getSpec().hasEntropy(), "opt-in");
    assertEquals(List.of(), disks(1));
    assertEquals(List.of(), disks(2));
    assertEquals(List.of(), disks(3));
  }

  @Test
  void givesItsRootDiskAlsoWhereNoNodeHasToldOfItsImages() {
    try (FakeController empty = new FakeController()) {
      Cli early = new Cli(empty);

      assertEquals(ExitCode.OK, early.run("run", "a"), early::err);
      assertEquals(ExitCode.OK, early.run("run", "b", "--kernel", "vireo-6.1"), early::err);
      assertEquals(ExitCode.OK, early.run("run", "c", "--kernel", "probe"), early::err);
      assertEquals(ExitCode.OK, early.run("run", "d", "--kernel", "mine", "--no-disk"), early::err);
      assertEquals(
          List.of(1, 1, 0, 0),
          empty.creates.stream()
              .map(create -> create.getMicrovm().getSpec().getDisksCount())
              .toList());

      assertEquals(ExitCode.REFUSED, early.run("run", "e", "--kernel", "mine"));
      assertTrue(early.err().contains("--no-disk"), early.err());
      assertEquals(4, empty.creates.size());
    }
  }

  @Test
  void refusesWhatIsNoCpuLimit() {
    for (String limit : List.of("0", "-1", "0.0001", "1e12", "half")) {
      assertEquals(ExitCode.USAGE, cli.run("run", "--cpu-limit", limit), limit);
    }
    assertEquals(List.of(), controller.creates);
  }

  @Test
  void refusesWhatIsNoConsolePort() {
    for (String port : List.of("", ",console", "a,pipe", "a,console=", "a,console=80", "a=b")) {
      assertEquals(ExitCode.USAGE, cli.run("run", "--console-port=" + port), port);
    }
    assertEquals(List.of(), controller.creates);
  }

  @Test
  void resizesAConsole() {
    cli.run("run", "vm", "--no-disk");
    assertEquals(ExitCode.OK, cli.run("resize-console", "vm", "132x43", "--port", "hvc1"));

    ResizeConsoleRequest request = controller.resizes.getFirst();
    assertEquals("projects/default/microvms/vm", request.getName());
    assertEquals("hvc1", request.getPort());
    assertEquals(132, request.getSize().getColumns());
    assertEquals(43, request.getSize().getRows());
    assertTrue(cli.out().contains("vm PENDING, console of 132x43"), cli.out());
    assertEquals(ExitCode.USAGE, cli.run("resize-console", "vm", "132"));
    assertEquals(ExitCode.NOT_FOUND, cli.run("resize-console", "none", "80x25"));
  }

  @Test
  void takesAContextId() {
    assertEquals(ExitCode.OK, cli.run("run", "--vsock-cid", "4294967294"));
    assertEquals(-2, controller.creates.getFirst().getMicrovm().getSpec().getVsock().getCid());
    for (String cid : List.of("4294967296", "-3", "three")) {
      assertEquals(ExitCode.USAGE, cli.run("run", "--vsock-cid=" + cid), cid);
    }
    assertEquals(1, controller.creates.size());
  }

  @Test
  void makesUpANameThatTheServerAllows() {
    cli.run("run");

    String id = controller.creates.getFirst().getMicrovmId();
    assertTrue(id.matches("vm-[a-z0-9]{6}"), id);
  }

  @Test
  void showsTheConsoleToTheEndAndDeletes() {
    controller.afterCreate(name -> {
      controller.state(name, MicroVmState.RUNNING);
      controller.console(name, "Hello from user space\n");
      controller.state(name, MicroVmState.STOPPED);
    });

    assertEquals(ExitCode.OK, cli.run("run", "job", "--rm"));

    assertEquals("Hello from user space\n", cli.out());
    assertFalse(controller.exists(JOB));
    assertTrue(controller.deletes.getFirst().getForce());
    assertTrue(cli.err().contains("job STOPPED"), cli.err());
  }

  @Test
  void failsWhenTheGuestFails() {
    controller.afterCreate(name -> controller.state(name, MicroVmState.FAILED));

    assertEquals(ExitCode.FAILED, cli.run("run", "job", "--attach"));
    assertTrue(controller.exists(JOB), "kept for a look at it");
  }

  // ---- Containers. ----

  @Test
  void turnsWhatFollowsTheDashesIntoAContainersCommand() {
    cli.with("HERE", "there");
    assertEquals(
        ExitCode.OK,
        cli.run(
            "run job --image python:3.13 -e A=b=c -e HERE -e NOWHERE -w /work -u me".split(" "),
            "--pull always --writable 2G --pids-limit 64 --entrypoint /bin/sh -- -c --rm"
                .split(" ")));

    MicroVmSpec spec = controller.creates.getFirst().getMicrovm().getSpec();
    assertEquals("job", controller.creates.getFirst().getMicrovmId());
    assertEquals("", spec.getBoot().getKernel(), "the server chooses");
    assertEquals(List.of(), spec.getDisksList());
    assertEquals(
        Container.newBuilder()
            .setImage("python:3.13")
            .setPull(ImagePull.IMAGE_PULL_ALWAYS)
            .addEntrypoint("/bin/sh")
            .addArguments("-c")
            .addArguments("--rm")
            .putEnvironment("A", "b=c")
            .putEnvironment("HERE", "there")
            .setWorkingDirectory("/work")
            .setUser("me")
            .setWritableMib(2048)
            .setPidsLimit(64)
            .build(),
        spec.getContainer());
  }

  @Test
  void metadataIsUserDataAndAttributes(@TempDir Path directory) throws IOException {
    Path file = Files.writeString(directory.resolve("user-data"), "#cloud-config");
    assertEquals(
        ExitCode.OK,
        cli.run(
            "run job --image busybox --metadata role=web --metadata url=a=b".split(" "),
            new String[] {"--user-data", file.toString()}));
    assertEquals(
        Metadata.newBuilder()
            .setUserData(ByteString.copyFromUtf8("#cloud-config"))
            .putAttributes("role", "web")
            .putAttributes("url", "a=b")
            .build(),
        spec(0).getMetadata());

    cli.with(new ByteArrayInputStream(new byte[100 << 10]));
    assertEquals(ExitCode.OK, cli.run("run second --image busybox --user-data -".split(" ")));
    assertEquals(
        (64 << 10) + 1,
        spec(1).getMetadata().getUserData().size(),
        "more than is allowed, so that the controller refuses it, and no more than that");

    assertEquals(ExitCode.OK, cli.run("run third --image busybox".split(" ")));
    assertFalse(spec(2).hasMetadata());
  }

  @Test
  void userDataThatCannotBeReadIsAFailureOfOurs() {
    assertEquals(
        ExitCode.OF_VIREO, cli.run("run job --image busybox --user-data /no/such/file".split(" ")));
    assertTrue(cli.err().contains("--user-data /no/such/file"), cli.err());
    assertEquals(List.of(), controller.creates);
  }

  private MicroVmSpec spec(int create) {
    return controller.creates.get(create).getMicrovm().getSpec();
  }

  @Test
  void aContainersOutputAndExitStatusAreThisCommands() {
    controller.afterCreate(name -> {
      controller.state(name, MicroVmState.RUNNING);
      controller.output(name, Stream.STDOUT, "hi\n");
      controller.output(name, Stream.STDERR, "oops\n");
      controller.exit(name, 7);
    });

    assertEquals(7, cli.run("run", "--rm", "--image", "busybox", "--", "sh", "-c", "exit 7"));

    assertEquals("hi\n", cli.out());
    assertEquals("oops\n", cli.err());
    assertEquals(1, controller.deletes.size());
  }

  @ParameterizedTest
  @ValueSource(strings = {"run job --rm", "run job --rm --image busybox -- yes"})
  void whoHasEnoughOfItsOutputHasItDeletedQuietly(String line) {
    controller.afterCreate(name -> {
      controller.state(name, MicroVmState.RUNNING);
      controller.console(name, "y\n");
      if (line.contains("--image")) {
        controller.output(name, Stream.STDOUT, "y\n");
      }
      controller.exit(name, 0);
    });

    assertEquals(ExitCode.BROKEN_PIPE, cli.intoClosedPipe().run(line.split(" ")));

    assertFalse(cli.err().contains("error"), cli.err());
    assertEquals(1, controller.deletes.size());
    assertFalse(controller.exists(JOB));
  }

  @Test
  void aCreateThatWaitsHasTheTimeItIsGiven() {
    controller.afterCreate(name -> controller.state(name, MicroVmState.STOPPED));

    cli.run("run job --rm --wait ready --timeout 5m".split(" "));
    cli.run("run job --rm --timeout 5m".split(" "));

    List<Long> seconds =
        controller.createDeadlines.stream()
            .map(deadline -> deadline.timeRemaining(TimeUnit.SECONDS))
            .toList();
    assertEquals(3, seconds.size());
    assertTrue(seconds.get(0) <= 15, seconds::toString);
    assertTrue(seconds.get(1) > 240 && seconds.get(1) <= 300, seconds::toString);
    assertTrue(seconds.get(2) <= 15, seconds::toString);
  }

  @Test
  void whatWasCreatedIsDeletedWhenItDoesNotGetAsFarAsIsWaitedFor() {
    controller.waitsFail(
        Errors.of(ErrorReason.STATE_CONFLICT, "job ended before it was there: GUEST_POWER_OFF"));

    assertEquals(ExitCode.REFUSED, cli.run("run", "job", "--rm", "--wait", "ready"));

    assertTrue(cli.err().contains("ended before it was there"), cli.err());
    assertEquals(1, controller.deletes.size());
    assertFalse(controller.exists(JOB));
  }

  @Test
  void ctrlCDoesNotWaitForWhatTheCreateWaitsFor() {
    controller.waitsNeverEnd();
    CreateMicroVmRequest request =
        CreateMicroVmRequest.newBuilder()
            .setParent("projects/default")
            .setMicrovmId("job")
            .setRequestId("of-this-run")
            .setWait(CreateMicroVmRequest.Wait.WAIT_READY)
            .build();
    try (Cleanup cleanup = new Cleanup();
        Api api =
            new Api(
                ServerAddress.LOOPBACK,
                "default",
                InProcessChannelBuilder.forName(controller.serverName).build())) {
      AttachedRun run =
          new AttachedRun(
              api, cli.environment(), request, java.time.Duration.ofMinutes(5), true, false);
      Thread.ofVirtual()
          .start(() -> assertThrows(StatusRuntimeException.class, () -> run.run(cleanup)));
      await().until(() -> controller.creates.contains(request));

      Thread signal = Thread.ofVirtual().start(cleanup::interrupt);

      await().until(() -> !signal.isAlive());
      assertEquals(1, controller.deletes.size());
    }
  }

  @Test
  void aContainerThatCannotBeRunIsAFailureOfOurs() {
    controller.afterCreate(name -> controller.state(name, MicroVmState.FAILED));
    assertEquals(ExitCode.OF_VIREO, cli.run("run", "job", "--rm", "--image", "busybox"));
    assertTrue(cli.err().contains("job FAILED"), cli.err());

    controller.failures.add(
        Errors.of(ErrorReason.CONTAINER_IMAGE_NOT_FOUND, "there is no busybox"));
    assertEquals(ExitCode.OF_VIREO, cli.run("run", "job", "--rm", "--image", "busybox"));
    assertTrue(cli.err().contains("there is no busybox"), cli.err());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "run job -- true",
        "run job other",
        "run --image busybox sh true",
        "run --image busybox --writable much"
      })
  void refusesWordsThatMeanNothing(String line) {
    assertEquals(ExitCode.USAGE, cli.run(line.split(" ")));
    assertEquals(List.of(), controller.creates);
  }

  @Test
  void tellsWhenAContainerHasWrittenAndShowsItsConsoleIfAsked() {
    cli.run("run", "job", "--image", "busybox");
    controller.output(JOB, Stream.STDOUT, "one\ntw");
    controller.output(JOB, Stream.STDERR, "err\n");
    controller.output(JOB, Stream.STDOUT, "o\n");
    controller.console(JOB, "boot\n");

    assertEquals(ExitCode.OK, cli.run("logs", "job"));
    assertEquals("one\ntwo\n", cli.out());
    assertEquals("err\n", cli.err());
    assertEquals(ExitCode.OK, cli.run("logs", "job", "-t"));
    String stamp = "2026-11-22T12:00:00.000000Z ";
    assertEquals(stamp + "one\n" + stamp + "two\n", cli.out());
    assertEquals(stamp + "err\n", cli.err());
    assertEquals(ExitCode.OK, cli.run("logs", "job", "--console"));
    assertEquals("boot\n", cli.out());
  }

  @Test
  void aContainersErrorsAreMadeHarmlessForATerminalWhenItsOutputIsPiped() {
    cli.run("run", "job", "--image", "busybox");
    String hostile = "a\u001b]0;title\u0007b\n";
    controller.output(JOB, Stream.STDOUT, hostile);
    controller.output(JOB, Stream.STDERR, hostile);

    cli.onTerminal(false, true).run("logs", "job");

    assertEquals(hostile, cli.out());
    assertEquals("ab\n", cli.err());
  }

  @Test
  void endsWhenSomebodyElseDeletesIt() {
    controller.afterCreate(name -> {
      controller.state(name, MicroVmState.RUNNING);
      controller.remove(name);
    });

    assertEquals(ExitCode.OK, cli.run("run", "job", "--attach"));
  }

  @Test
  void doesNotDeleteWhatItDidNotCreate() {
    cli.run("run", "job");

    assertEquals(ExitCode.REFUSED, cli.run("run", "job", "--rm"));

    assertTrue(cli.err().contains("MICROVM_ALREADY_EXISTS"), cli.err());
    assertTrue(controller.exists(JOB));
    assertEquals(List.of(), controller.deletes);
  }

  @Test
  void printsEveryWrongField() {
    controller.failures.add(
        Errors.badRequest(
            List.of(
                new Errors.FieldViolation(
                    "spec.vcpus", ErrorReason.FIELD_INVALID, "must be 1 to 64, is 0."),
                new Errors.FieldViolation(
                    "spec.disks[0].source", ErrorReason.DISK_NOT_FOUND, "no /srv/x."))));

    // The images are asked for first, unless the kernel is a path.
    assertEquals(ExitCode.REFUSED, cli.run("run", "--kernel", "/k", "--vcpus", "0"));

    assertEquals(
        """
        error: 2 fields are wrong
          spec.vcpus: must be 1 to 64, is 0. Use a value in the range that the violation's description gives. (FIELD_INVALID)
          spec.disks[0].source: no /srv/x. Give the absolute path of a raw file or block device that the worker may open. (DISK_NOT_FOUND)
        """,
        cli.err());
  }

  @Test
  void saysHowManyFieldsAreWrongThoughNotAllAreTold() {
    controller.failures.add(
        Errors.badRequest(
            IntStream.range(0, 64)
                .mapToObj(i ->
                    new Errors.FieldViolation(
                        "spec.disks[%d].source".formatted(i),
                        ErrorReason.DISK_NOT_FOUND,
                        "no /srv/x."))
                .toList()));

    assertEquals(ExitCode.REFUSED, cli.run("run", "--kernel", "/k"));

    List<String> lines = cli.err().lines().toList();
    assertEquals("error: 64 fields are wrong", lines.getFirst());
    int told = lines.size() - 2;
    assertTrue(
        lines.getLast().contains(": is one of %d more that are wrong.".formatted(64 - told)),
        cli.err());
  }

  @Test
  void refusesWhatIsNoMemorySizeBeforeAnythingIsSent() {
    assertEquals(ExitCode.USAGE, cli.run("run", "--memory", "lots"));
    assertTrue(cli.err().contains("'lots' is not a size"), cli.err());
    assertEquals(List.of(), controller.creates);
  }

  private List<Disk> disks(int create) {
    return controller.creates.get(create).getMicrovm().getSpec().getDisksList();
  }

  private static Disk disk(String id, String source, boolean readOnly) {
    return Disk.newBuilder().setId(id).setSource(source).setReadOnly(readOnly).build();
  }

  private static Node nodeWithImages() {
    return Node.newBuilder()
        .setMeta(ResourceMeta.newBuilder().setName("nodes/here"))
        .setStatus(
            NodeStatus.newBuilder()
                .setCapabilities(
                    NodeCapabilities.newBuilder()
                        .addImages(
                            NodeImage.newBuilder().setName("debian-12").setGuestKind("linux"))
                        .addImages(
                            NodeImage.newBuilder().setName("probe").setGuestKind("bare-metal"))))
        .build();
  }
}
