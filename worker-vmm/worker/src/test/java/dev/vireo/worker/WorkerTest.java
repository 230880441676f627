package dev.vireo.worker;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.BackEnd;
import dev.vireo.images.Architecture;
import dev.vireo.images.ImageDirectory;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.linux.KvmProbe;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination.Cause;
import dev.vireo.proto.v1.VmmCompiler;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.worker.boot.BootPlanner;
import dev.vireo.worker.boot.Kernels;
import dev.vireo.worker.container.PullProgram;
import dev.vireo.worker.image.NodeImages;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.node.NodeFacts;
import dev.vireo.worker.session.ControllerChannel;
import dev.vireo.worker.session.FakeController;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.tracing.LaunchSpans;
import dev.vireo.worker.vmm.ScriptedVmm;
import dev.vireo.worker.vmm.VmmProgram;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A whole worker between a controller and VMM processes that have no guest. */
class WorkerTest {
  private static final String UID = "uid-1";
  private static final String BOOT = "this-boot";

  @TempDir private Path temporary;
  private FakeController controller;
  private VmmProgram program;
  private Path kernel;
  private StateDirectory state;
  private LaunchSpans spans;
  private Worker worker;

  @BeforeEach
  void startAll() throws Exception {
    kernel = Files.write(temporary.resolve("vmlinux"), Kernels.elf(62));
    program = ScriptedVmm.program(temporary.resolve("home"));
    controller = FakeController.onLoopback();
    startWorker();
  }

  private void startWorker() throws Exception {
    state = StateDirectory.open(temporary.resolve("node"));
    spans = new LaunchSpans("n1");
    ImageDirectory images = new ImageDirectory(temporary.resolve("images"));
    KvmProbe kvm = new KvmProbe(12, "kvm_pvm", false, 8, 32, true, true, true, true, true, true);
    NodeFacts facts = new NodeFacts(images, kvm, BackEnd.allAvailable(), false, 2, 4, 4096, 1024);
    worker =
        new Worker(
            "n1",
            Map.of("zone", "a"),
            state,
            facts,
            new BootPlanner(Path.of("/dev/null"), images, facts.machine(), facts.capacity()),
            (reference, pull) -> {
              throw new UnsupportedOperationException("no container is asked for");
            },
            new NodeImages(
                ContainerImageCache.of(temporary.resolve("images-oci")),
                Architecture.X86_64,
                new PullProgram(List.of("false"), temporary.resolve("images-oci"))),
            Networks.none("no network is asked for"),
            program,
            1,
            BOOT,
            "test",
            ControllerChannel.to(List.of(controller.address())),
            spans.tracer());
    worker.start();
  }

  private void stopWorker() {
    worker.close();
    state.close();
  }

  @AfterEach
  void stopAll() throws Exception {
    stopWorker();
    reap();
    controller.close();
  }

  @Test
  void introducesItself() {
    await().until(() -> !controller.received().isEmpty());
    var hello = controller.received().getFirst().getHello();
    assertEquals("n1", hello.getNodeId());
    assertEquals("a", hello.getLabelsOrThrow("zone"));
    assertEquals(8000, hello.getCapacity().getCpuMilli());
    assertEquals(
        BackEnd.allAvailable().stream().map(BackEnd::qualifiedName).toList(),
        hello.getCapabilities().getBackEndsList());
    assertFalse(hello.getNodeUid().isEmpty());
  }

  @Test
  void tellsOfContainerImagesAsTheyComeAndGo() throws Exception {
    stopWorker();
    controller.lease(300);
    startWorker();
    ContainerImageCache cache = ContainerImageCache.of(temporary.resolve("images-oci"));
    ImageId id = new ImageId("c".repeat(64));
    var _ =
        cache.obtain(
            id,
            building -> {
              Files.writeString(building.resolve(ContainerImage.ROOT_FILE), "squashfs");
              return new ContainerImage.Settings(
                  Architecture.X86_64,
                  List.of("/tool"),
                  List.of(),
                  List.of(),
                  "",
                  "",
                  List.of(),
                  "",
                  Optional.empty());
            });
    Heartbeat came = awaitHeartbeatOfImages(1);
    assertEquals(id.toString(), came.getContainerImages().getImages(0).getId());
    cache.remove(id);
    assertEquals(0, awaitHeartbeatOfImages(2).getContainerImages().getImagesCount());
  }

  /** The so manieth that has images to tell of, or that there are none any more. */
  private Heartbeat awaitHeartbeatOfImages(int count) {
    await().until(() -> heartbeatsOfImages().size() == count);
    return heartbeatsOfImages().getLast();
  }

  private List<Heartbeat> heartbeatsOfImages() {
    return controller.received().stream()
        .map(WorkerMessage::getHeartbeat)
        .filter(Heartbeat::hasContainerImages)
        .toList();
  }

  @Test
  void aLaunchIsTracedUntilItsGuestIsReady() {
    controller.assign(
        assignment("hello", RestartPolicy.NEVER).toBuilder()
            .setTraceparent(LaunchSpans.TRACEPARENT)
            .build());
    List<String> stages =
        List.of(
            "open files", "prepare disks", "take VMM", "create machine", "reconcile", "boot guest");
    await().untilAsserted(() -> assertEquals(stages, spans.names()));
    assertEquals(LaunchSpans.PARENT, spans.one("reconcile").getParentSpanId());
  }

  @Test
  void runsTellsReadsAndRemoves() {
    controller.assign(assignment("hello", RestartPolicy.NEVER));
    awaitState(MicroVmState.RUNNING);
    assertTrue(report().getReady());
    assertEquals("hello\n", log());
    controller.send(
        ControllerMessage.newBuilder()
            .setInspect(Inspect.newBuilder().setRequestId(1).setUid(UID))
            .build());
    await()
        .until(() ->
            controller.received().stream()
                .anyMatch(m ->
                    m.hasInspectResult()
                        && m.getInspectResult().getInspection().getPssBytes() > 0
                        && m.getInspectResult().getInspection().hasCpuTime()));
    controller.remove(UID, true);
    await().until(() -> report().getOutcome() == Outcome.REMOVED);
    assertEquals(List.of(), state.microVmUids());
  }

  @ParameterizedTest
  @CsvSource({
    "VMM_COMPILER_AUTO, false",
    "VMM_COMPILER_LEAN, false",
    "VMM_COMPILER_FAST, true",
  })
  void aVmmIsOfTheKindThatItsSpecAsksFor(VmmCompiler compiler, boolean fast) throws Exception {
    MicroVmSpec.Builder spec = spec("", RestartPolicy.NEVER);
    spec.getVmmBuilder().setCompiler(compiler);
    controller.assign(assignment("", RestartPolicy.NEVER).toBuilder().setSpec(spec).build());
    awaitState(MicroVmState.RUNNING);
    String commandLine = Files.readString(Path.of("/proc/" + vmmPid() + "/cmdline"));
    assertEquals(fast, commandLine.contains(ScriptedVmm.FAST_MARK));
  }

  @Test
  void aRefusalComesBackWithItsField() {
    controller.assign(
        assignment("", RestartPolicy.NEVER).toBuilder()
            .setSpec(spec("", RestartPolicy.NEVER).setVcpus(100))
            .build());
    await().until(() -> controller.lastReport(UID).isPresent());
    assertEquals(Outcome.REJECTED, report().getOutcome());
    assertEquals("spec.vcpus", report().getField());
  }

  @Test
  void anEndIsSeenAndItsLogStays() {
    controller.assign(assignment("poweroff", RestartPolicy.NEVER));
    awaitState(MicroVmState.STOPPED);
    assertEquals(Cause.GUEST_POWER_OFF, report().getTermination().getCause());
    assertEquals("poweroff\n", log());
  }

  @Test
  void aKilledVmmIsSeenAndRestartedOnTheSameConsole() {
    controller.assign(assignment("again", RestartPolicy.ON_FAILURE));
    awaitState(MicroVmState.RUNNING);
    ProcessHandle.of(vmmPid()).orElseThrow().destroyForcibly();
    await().until(() -> report().getRestarts() == 1 && report().getState() == MicroVmState.RUNNING);
    assertEquals(Cause.VMM_LOST, report().getTermination().getCause());
    assertEquals("again\nagain\n", log());
  }

  @Test
  void guestsOutliveTheirWorkerAndAreTakenBack() throws Exception {
    controller.assign(assignment("on and on", RestartPolicy.NEVER));
    awaitState(MicroVmState.RUNNING);
    MicroVmReport before = report();
    long pid = vmmPid();
    stopWorker();
    assertTrue(ProcessHandle.of(pid).orElseThrow().isAlive());
    startWorker();
    await().until(() -> helloCount() == 2 && controller.lastReport(UID).isPresent());
    assertEquals(before, report());
    assertEquals(pid, vmmPid());
    assertEquals("on and on\n", log());
  }

  @Test
  void whatTheControllerHasForgottenMeanwhileGoes() throws Exception {
    controller.assign(assignment("", RestartPolicy.ALWAYS));
    awaitState(MicroVmState.RUNNING);
    stopWorker();
    controller.forget(UID);
    startWorker();
    await().until(() -> report().getOutcome() == Outcome.REMOVED);
    assertEquals(List.of(), state.microVmUids());
  }

  @Test
  void reapingEndsEveryVmmAndKeepsWhatItWrote() throws Exception {
    controller.assign(assignment("kept", RestartPolicy.NEVER));
    awaitState(MicroVmState.RUNNING);
    long pid = vmmPid();
    stopWorker();
    Path halfAnImage = Files.createDirectories(state.archives()).resolve("archive-1.tar");
    Files.writeString(halfAnImage, "the worker that received it was killed");
    try (StateDirectory left = StateDirectory.open(temporary.resolve("node"))) {
      assertTrue(new Reap(left, BOOT).run());
      assertFalse(Files.exists(halfAnImage));
      assertEquals(List.of(), left.vmmIds());
    }
    assertFalse(ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false));
    startWorker();
    awaitState(MicroVmState.STOPPED);
    assertEquals(Cause.STOPPED_BY_REQUEST, report().getTermination().getCause());
    assertEquals("stopped with its node", report().getTermination().getMessage());
    assertEquals("kept\n", log());
  }

  @Test
  void reapingWritesDownWhyAGuestHadEndedByItself() throws Exception {
    endUnheard(RestartPolicy.ON_FAILURE);
    reap();
    startWorker();
    awaitState(MicroVmState.STOPPED);
    assertEquals(Cause.GUEST_POWER_OFF, report().getTermination().getCause());
    assertEquals(0, report().getRestarts());
    assertEquals("unheard\n", log());
  }

  @Test
  void anEndThatCannotBeWrittenDownIsLeftForTheNextWorker() throws Exception {
    endUnheard(RestartPolicy.ON_FAILURE);
    Path inTheWay = Files.createDirectory(state.microVm(UID).resolve("record.new"));
    reap();
    Files.delete(inTheWay);
    startWorker();
    awaitState(MicroVmState.STOPPED);
    assertEquals(Cause.GUEST_POWER_OFF, report().getTermination().getCause());
  }

  @Test
  void anEndThatAWorkerCannotWriteDownIsLeftForTheNextOne() throws Exception {
    endUnheard(RestartPolicy.ON_FAILURE);
    Path inTheWay = Files.createDirectory(state.microVm(UID).resolve("record.new"));
    startWorker();
    awaitState(MicroVmState.STOPPED);
    stopWorker();
    Files.delete(inTheWay);
    startWorker();
    await().until(() -> helloCount() == 3 && controller.lastReport(UID).isPresent());
    awaitState(MicroVmState.STOPPED);
    assertEquals(Cause.GUEST_POWER_OFF, report().getTermination().getCause());
    assertEquals(0, report().getRestarts());
    assertEquals("unheard\n", log());
  }

  @Test
  void whatIsReapedAndCannotBeWrittenDownIsStoppedAllTheSame() throws Exception {
    controller.assign(assignment("", RestartPolicy.ON_FAILURE));
    awaitState(MicroVmState.RUNNING);
    long pid = vmmPid();
    stopWorker();
    Path inTheWay = Files.createDirectory(state.microVm(UID).resolve("record.new"));
    reap();
    await().until(() -> hasEnded(pid));
    Files.delete(inTheWay);
    startWorker();
    awaitState(MicroVmState.STOPPED);
    assertEquals(Cause.STOPPED_BY_REQUEST, report().getTermination().getCause());
    assertEquals(0, report().getRestarts());
  }

  /** Its guest powers itself off while no worker is there. */
  private void endUnheard(RestartPolicy policy) throws Exception {
    controller.assign(assignment("unheard", policy));
    awaitState(MicroVmState.RUNNING);
    long pid = vmmPid();
    stopWorker();
    await().until(() -> hasEnded(pid));
  }

  /** Also if nobody has reaped it yet. */
  private static boolean hasEnded(long pid) {
    try {
      String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
      return stat.charAt(stat.lastIndexOf(')') + 2) == 'Z';
    } catch (IOException gone) {
      return true;
    }
  }

  private void reap() throws Exception {
    try (StateDirectory left = StateDirectory.open(temporary.resolve("node"))) {
      assertTrue(new Reap(left, BOOT).run());
    }
  }

  // ---- What the tests are made of. ----

  private Assignment assignment(String script, RestartPolicy policy) {
    return Assignment.newBuilder()
        .setUid(UID)
        .setName("projects/default/microvms/m1")
        .setAttempt(1)
        .setGeneration(1)
        .setSpec(spec(script, policy))
        .build();
  }

  private MicroVmSpec.Builder spec(String script, RestartPolicy policy) {
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder()
            .setVcpus(1)
            .setMemoryMib(64)
            .setDesiredState(DesiredState.DESIRED_RUNNING);
    spec.getBootBuilder().setKernel(kernel.toString()).setCommandLine(script);
    spec.getLifecycleBuilder().setRestartPolicy(policy);
    return spec;
  }

  private void awaitState(MicroVmState wanted) {
    await().until(() -> controller.lastReport(UID).filter(r -> r.getState() == wanted).isPresent());
  }

  private MicroVmReport report() {
    return controller.lastReport(UID).orElseThrow();
  }

  private long helloCount() {
    return controller.received().stream().filter(message -> message.hasHello()).count();
  }

  private long vmmPid() {
    int before = controller.received().size();
    controller.send(
        ControllerMessage.newBuilder()
            .setInspect(Inspect.newBuilder().setRequestId(2).setUid(UID))
            .build());
    await()
        .until(
            () -> controller.received().stream().skip(before).anyMatch(m -> m.hasInspectResult()));
    return controller.received().stream()
        .skip(before)
        .filter(m -> m.hasInspectResult())
        .findFirst()
        .orElseThrow()
        .getInspectResult()
        .getInspection()
        .getVmmPid();
  }

  private String log() {
    int before = controller.received().size();
    controller.send(
        ControllerMessage.newBuilder()
            .setReadLog(
                ReadLog.newBuilder().setStreamId(before + 1L).setUid(UID).setCreditBytes(1 << 20))
            .build());
    await().until(() -> chunksSince(before).stream().anyMatch(LogChunk::getEnd));
    return chunksSince(before).stream()
        .map(chunk -> chunk.getData().toString(StandardCharsets.UTF_8))
        // Without what Vireo adds for a kernel that is a file.
        .map(text -> text.replace("console=ttyS0 panic=-1 ", ""))
        .collect(Collectors.joining());
  }

  private List<LogChunk> chunksSince(int message) {
    return controller.received().stream()
        .skip(message)
        .filter(m -> m.hasLogChunk())
        .map(m -> m.getLogChunk())
        .toList();
  }
}
