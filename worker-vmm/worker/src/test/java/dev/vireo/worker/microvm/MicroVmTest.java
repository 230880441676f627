package dev.vireo.worker.microvm;

import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.CREATE;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.INSPECT;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.PAUSE;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.RELEASE;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.RESIZE_CONSOLE;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.RESIZE_MEMORY;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.RESUME;
import static dev.vireo.proto.vmm.v1.VmmRequest.RequestCase.STOP;
import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import dev.vireo.images.Architecture;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ImageId;
import dev.vireo.linux.Fd;
import dev.vireo.linux.UnixListener;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ConsolePortStatus;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.Termination.Cause;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.Removal;
import dev.vireo.proto.worker.v1.VmmRecord;
import dev.vireo.worker.boot.BootFiles;
import dev.vireo.worker.boot.OpenMemory;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.metadata.MetadataService;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.ManualTime;
import dev.vireo.worker.tracing.LaunchSpans;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.tracing.LaunchTrace.Milestone;
import dev.vireo.worker.tracing.LaunchTracer;
import dev.vireo.worker.vmm.FakeVmm;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import dev.vireo.worker.vmm.VmmGoneException;
import dev.vireo.worker.vmm.VmmListener;
import dev.vireo.worker.vmm.VmmPool;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.data.StatusData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One microVM's life on a node, with a VMM and a clock that do what the test says. */
class MicroVmTest {
  private static final String UID = "uid-1";
  private static final NodeResources CAPACITY =
      NodeResources.newBuilder().setCpuMilli(4000).setMemoryMib(1024).build();

  @TempDir private Path temporary;
  private final ManualTime time = new ManualTime();
  private final List<MicroVmReport> reports = new ArrayList<>();
  private final FakeLauncher launcher = new FakeLauncher();
  private final LaunchSpans spans = new LaunchSpans("node-1");
  private final FakeNetworks networks = new FakeNetworks();
  private StateDirectory state;
  private MicroVms microVms;

  @BeforeEach
  void makeNode() throws Exception {
    state = StateDirectory.open(temporary.resolve("node"));
    microVms = newSet();
  }

  private MicroVms newSet() {
    return new MicroVms(
        state,
        launcher,
        new Reservations(CAPACITY),
        networks,
        spans.tracer(),
        time,
        Runnable::run,
        reports::add);
  }

  @AfterEach
  void closeNode() {
    spans.close();
    state.close();
  }

  // ---- Containers. ----

  @Test
  void aContainerWaitsForItsImageAndRunsAboveALinkOfItsOwn() throws Exception {
    assign(container());
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(Outcome.IN_PROGRESS, last().getOutcome());
    assertEquals(0, launcher.launches);

    FakeVmm vmm = obtainImage();
    assertEquals(1, launcher.launches);
    assertEquals(3, launcher.opened.getVsock().getCid(), "whether it asked for one or not");
    Path link = launcher.openedRoot.orElseThrow();
    assertEquals(state.microVm(UID), link.getParent());
    assertEquals("squashfs", Files.readString(link));

    start(vmm);
    Supervised supervised = launcher.supervised.getLast();
    assertEquals(List.of("/tool", "--fast"), supervised.process().getArgumentsList());
    assertEquals(List.of("A=b"), supervised.process().getEnvironmentList());
    assertEquals("/w", supervised.process().getWorkingDirectory());
    assertEquals("me", supervised.process().getUser());
    assertFalse(last().getReady());
    supervised.listener().started();
    assertFalse(last().getReady());
    supervised.listener().ready();
    assertTrue(last().getReady());
  }

  @Test
  void aContainersEndIsThatOfItsProcess() throws Exception {
    FakeVmm vmm = runContainer(container());
    launcher.supervised.getLast().listener().ended(7, "exit status 7");
    assertEquals(MicroVmState.STOPPING, last().getState());
    assertEquals(STOP, vmm.lastRequest().getRequestCase());

    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(MicroVmState.STOPPING, last().getState(), "its output may be on its way still");
    launcher.supervised.getLast().drained().complete(null);
    assertEquals(MicroVmState.FAILED, last().getState());
    assertEquals(Cause.PROCESS_ENDED, last().getTermination().getCause());
    assertEquals(7, last().getTermination().getExitStatus());
    assertEquals("exit status 7", last().getTermination().getMessage());
  }

  @Test
  void aContainerThatItsNodeCannotRunHasFailed() throws Exception {
    FakeVmm vmm = runContainer(container());
    launcher.supervised.getLast().listener().failed("no room");
    launcher.supervised.getLast().drained().complete(null);
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(MicroVmState.FAILED, last().getState());
    assertEquals(Cause.SETUP_FAILED, last().getTermination().getCause());
    assertEquals("no room", last().getTermination().getMessage());
  }

  @Test
  void aContainerThatEndsWellIsStoppedAndNotRestarted() throws Exception {
    FakeVmm vmm = runContainer(failing());
    launcher.supervised.getLast().listener().ended(0, "exit status 0");
    launcher.supervised.getLast().drained().complete(null);
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(MicroVmState.STOPPED, last().getState());
  }

  @Test
  void aContainerThatFailsIsRestartedAboveTheSameImage() throws Exception {
    FakeVmm vmm = runContainer(failing());
    launcher.supervised.getLast().listener().ended(1, "exit status 1");
    launcher.supervised.getLast().drained().complete(null);
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    launcher.image = new CompletableFuture<>();
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(2, launcher.launches);
    assertFalse(launcher.image.isDone(), "it was not asked for again");
    start(launcher.vmm());
    assertEquals(2, launcher.supervised.size());
    assertEquals(launcher.supervised.get(0).process(), launcher.supervised.get(1).process());
    launcher.supervised.getLast().listener().started();
    assertEquals(MicroVmState.RUNNING, last().getState());
  }

  @Test
  void aContainerThatIsStoppedEndsByThat() throws Exception {
    FakeVmm vmm = runContainer(container());
    change(2, container().setDesiredState(DesiredState.DESIRED_STOPPED));
    launcher.supervised.getLast().listener().ended(143, "killed by signal 15");
    launcher.supervised.getLast().drained().complete(null);
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertEquals(Cause.STOPPED_BY_REQUEST, last().getTermination().getCause());
  }

  /** The second start is taken back before the first run has ended. */
  @Test
  void aContainerKeepsItsProcessAlsoIfAStartOfItIsTakenBack() throws Exception {
    FakeVmm vmm = runContainer(container());
    MicroVmRecord first = record();
    change(2, container().setDesiredState(DesiredState.DESIRED_STOPPED));
    microVms.change(upsert(UID, 2, 3, container()));
    MicroVmSpec.Builder stopped = container().setDesiredState(DesiredState.DESIRED_STOPPED);
    microVms.change(upsert(UID, 2, 4, stopped));
    launcher.supervised.getLast().drained().complete(null);
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertEquals(2, last().getAttempt());

    microVms.change(upsert(UID, 3, 5, container()));
    assertEquals(2, launcher.launches, "its image is not asked for again");
    start(launcher.vmm());
    assertEquals(MicroVmState.RUNNING, last().getState());
    assertEquals(first.getProcess(), launcher.supervised.getLast().process());
    assertEquals(first.getVsockCid(), record().getVsockCid());
  }

  @Test
  void aGuestThatGivesUpBeforeItsProcessHasEndedWasNotSetUp() throws Exception {
    FakeVmm vmm = runContainer(container());
    launcher.supervised.getLast().drained().complete(null);
    end(vmm, EndCause.END_GUEST_POWER_OFF);
    assertEquals(MicroVmState.FAILED, last().getState());
    assertEquals(Cause.SETUP_FAILED, last().getTermination().getCause());
  }

  @Test
  void anImageThatCannotBeHadIsARejection() {
    assign(container());
    launcher.image.completeExceptionally(
        new RejectedException(
            ErrorReason.CONTAINER_IMAGE_NOT_FOUND, "spec.container.image", "there is none"));
    assertEquals(Outcome.REJECTED, last().getOutcome());
    assertEquals("CONTAINER_IMAGE_NOT_FOUND", last().getReason());
    assertNothingIsLeft();
  }

  @Test
  void oneThatIsRemovedWhileItsImageIsFetchedStopsThat() {
    assign(container());
    remove(false);
    assertTrue(launcher.image.isCancelled());
    assertNothingIsLeft();
  }

  @Test
  void aSuccessorGoesOnWithAContainersProcess() throws Exception {
    FakeVmm vmm = runContainer(container());
    recover(new Found.Running(vmm, vmmRecord(), running()));
    assertEquals(2, launcher.supervised.size());
    assertEquals(launcher.supervised.get(0).process(), launcher.supervised.get(1).process());
  }

  /** The link was made, and its worker killed before the process was written down. */
  @Test
  void aLinkToAnImageThatNothingIsSaidOfIsReplaced() throws Exception {
    MicroVmSpec.Builder stopped = container().setDesiredState(DesiredState.DESIRED_STOPPED);
    microVms.change(upsert(UID, 1, 1, stopped));
    microVms.change(upsert(UID, 2, 2, container()));
    Files.writeString(state.microVm(UID).resolve("container-root"), "of an image before");
    recover();
    microVms.change(upsert(UID, 2, 2, container()));
    start(obtainImage());
    assertEquals(MicroVmState.RUNNING, last().getState());
    assertEquals("squashfs", Files.readString(launcher.openedRoot.orElseThrow()));
  }

  @Test
  void aSuccessorKnowsThatTheProcessHasEnded() throws Exception {
    FakeVmm vmm = runContainer(container());
    launcher.supervised.getLast().listener().ended(3, "exit status 3");
    assertEquals(3, record().getProcessEnd().getExitStatus());
    recover(new Found.Running(vmm, vmmRecord(), running()));
    assign(container());
    launcher.supervised.getLast().drained().complete(null);
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(3, last().getTermination().getExitStatus());
  }

  // ---- Networks. ----

  @Test
  void aRoutedNetworkIsConnectedBeforeItsVmmHasItAndUntilThatHasEnded() {
    launcher.beforeLaunch = () -> networks.events.add("launch");
    assign(routed());
    assertEquals(List.of("assign", "connect", "launch"), networks.events);
    assertEquals("vn0ad50002", launcher.opened.getNetworks(0).getTap());
    assertEquals("02:00:00:00:00:01", launcher.opened.getNetworks(0).getMacAddress());
    assertEquals(
        "quiet vireo.net=02:00:00:00:00:01,10.213.0.2,10.213.0.1,1400",
        launcher.opened.getBoot().getCommandLine());
    FakeVmm vmm = launcher.vmm();
    start(vmm);
    assertEquals(List.of(FakeNetworks.GIVEN), last().getNetworksList());
    networks.events.clear();
    end(vmm, EndCause.END_GUEST_POWER_OFF);
    assertEquals(List.of("disconnect"), networks.events);
    assertEquals(List.of(FakeNetworks.GIVEN), last().getNetworksList());
    remove(false);
    assertEquals(List.of("disconnect", "release"), networks.events);
  }

  @Test
  void aNetworkThatCannotBeHadIsARejection() {
    networks.refuseToAssign =
        new RejectedException(ErrorReason.ADDRESSES_EXHAUSTED, "spec.networks[0].routed", "none");
    assign(routed());
    assertEquals("ADDRESSES_EXHAUSTED", last().getReason());
    assertNothingIsLeft();
    networks.refuseToAssign = null;
    networks.refuseToConnect =
        new RejectedException(ErrorReason.ROUTING_UNAVAILABLE, "spec.networks", "no nft");
    microVms.change(upsert(UID, 2, 1, routed()));
    assertEquals("ROUTING_UNAVAILABLE", last().getReason());
    assertEquals(0, launcher.launches);
    assertNothingIsLeft();
  }

  @Test
  void anAddressIsKeptAlsoByWhatIsStoppedBeforeItStartsAgain() {
    end(running(routed()), EndCause.END_GUEST_POWER_OFF);
    MicroVmSpec.Builder stopped = routed().setDesiredState(DesiredState.DESIRED_STOPPED);
    microVms.change(upsert(UID, 2, 3, stopped));
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertEquals(List.of(FakeNetworks.GIVEN), last().getNetworksList());
    networks.events.clear();
    recover();
    assertEquals(List.of("takeBack 10.213.0.2 false"), networks.events);
  }

  @Test
  void aSuccessorTakesAddressesBack() throws Exception {
    assign(routed());
    FakeVmm vmm = launcher.vmm();
    start(vmm);
    networks.events.clear();
    recover(new Found.Running(vmm, vmmRecord(), running()));
    assertEquals(List.of("takeBack 10.213.0.2 true"), networks.events);
    assertEquals(List.of(FakeNetworks.GIVEN), last().getNetworksList());
  }

  private static MicroVmSpec.Builder routed() {
    MicroVmSpec.Builder spec = spec();
    spec.getBootBuilder().setCommandLine("quiet");
    spec.addNetworksBuilder().setId("net0").setMtu(1400).getRoutedBuilder();
    return spec;
  }

  // ---- Metadata. ----

  @Test
  void metadataIsServedFromBeforeTheGuestRunsUntilItHasEnded() {
    FakeVmm vmm = launcher.vmmAfter(() -> assign(withMetadata()));
    assertEquals(Set.of(metadataSocket()), launcher.metadata.keySet());
    start(vmm);
    assertEquals("projects/default/microvms/uid-1", launcher.metadata.get(metadataSocket()));

    end(vmm, EndCause.END_GUEST_POWER_OFF);
    assertEquals(Map.of(), launcher.metadata);
  }

  @Test
  void metadataHasTheAddressOfItsNetworkAlsoAfterARestartOfTheWorker() {
    MicroVmSpec.Builder spec = withMetadata();
    spec.addAllNetworks(routed().getNetworksList());
    FakeVmm vmm = running(spec);
    String told = "projects/default/microvms/uid-1 at 10.213.0.2";
    assertEquals(told, launcher.metadata.get(metadataSocket()));

    launcher.metadata.clear();
    recover(new Found.Running(vmm, vmmRecord(), running()));
    assertEquals(told, launcher.metadata.get(metadataSocket()));
  }

  @Test
  void aSuccessorServesTheMetadataOfWhatRuns() {
    FakeVmm vmm = running(withMetadata());
    launcher.metadata.clear();
    recover(new Found.Running(vmm, vmmRecord(), running()));
    assertEquals(Set.of(metadataSocket()), launcher.metadata.keySet());
    assign(withMetadata());
    remove(true);
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(Map.of(), launcher.metadata);
    assertNothingIsLeft();
  }

  @Test
  void aLaunchThatFailsLeavesNoMetadata() {
    launcher.noVmm = new VmmGoneException("no such program");
    assign(withMetadata());
    assertEquals(Outcome.REJECTED, last().getOutcome());
    assertEquals(Map.of(), launcher.metadata);
  }

  @Test
  void withoutMetadataInTheSpecThereIsNone() {
    running(spec());
    assertEquals(Map.of(), launcher.metadata);
  }

  private Path metadataSocket() {
    return state.microVm(UID).resolve("vsock_169");
  }

  private static MicroVmSpec.Builder withMetadata() {
    MicroVmSpec.Builder spec = vsock(0);
    spec.getMetadataBuilder().putAttributes("role", "web");
    return spec;
  }

  // ---- Starting. ----

  @Test
  void runsWhatIsAssigned() {
    assign(spec());
    FakeVmm vmm = launcher.vmm();
    assertEquals("uid-1/1", vmm.assignedTo());
    vmm.becomes(VmmState.VMM_RUNNING);
    vmm.answer(CREATE);
    assertEquals(Outcome.CREATED, last().getOutcome());
    assertEquals(MicroVmState.RUNNING, last().getState());
    assertTrue(last().hasStartTime());
    assertFalse(last().getReady());
    vmm.becomes(running().toBuilder().setConsoleReady(true).build());
    assertTrue(last().getReady());
    assertEquals(1, last().getAttempt());
  }

  @Test
  void aLaunchIsASpanWithItsStagesBelowTheOneThatItWasAssignedIn() {
    microVms.change(traced(1));
    FakeVmm vmm = launcher.vmm();
    vmm.becomes(VmmState.VMM_RUNNING);
    vmm.answer(CREATE);
    List<String> stages = List.of("open files", "prepare disks", "take VMM", "create machine");
    assertEquals(Stream.concat(stages.stream(), Stream.of("reconcile")).toList(), spans.names());
    vmm.becomes(running().toBuilder().setConsoleReady(true).build());
    assertEquals("boot guest", spans.names().getLast());

    SpanData launch = spans.one("reconcile");
    assertEquals(LaunchSpans.TRACE, launch.getTraceId());
    assertEquals(LaunchSpans.PARENT, launch.getParentSpanId());
    for (String stage : Stream.concat(stages.stream(), Stream.of("boot guest")).toList()) {
      assertEquals(LaunchSpans.TRACE, spans.one(stage).getTraceId());
      assertEquals(launch.getSpanId(), spans.one(stage).getParentSpanId());
      assertEquals(launch.getAttributes(), spans.one(stage).getAttributes());
    }
    assertEquals(
        Map.of(
            "vireo.microvm", "projects/p/microvms/vm", "vireo.node", "node-1", "vireo.attempt", 1L),
        LaunchSpans.attributes(launch));
  }

  @Test
  void aLaunchThatIsRefusedEndsItsSpansInError() {
    launcher.refuse =
        new RejectedException(ErrorReason.DISK_INVALID, "spec.disks[0].source", "it is a cat");
    microVms.change(traced(1));
    assertEquals(List.of("open files", "reconcile"), spans.names());
    for (String span : spans.names()) {
      assertEquals(StatusData.create(StatusCode.ERROR, "it is a cat"), spans.one(span).getStatus());
    }
  }

  @Test
  void withoutAVmmALaunchEndsItsSpansInError() {
    launcher.noVmm = new VmmGoneException("no such program");
    microVms.change(traced(1));
    assertEquals(List.of("open files", "prepare disks", "reconcile"), spans.names());
    assertEquals(StatusCode.ERROR, spans.one("reconcile").getStatus().getStatusCode());
  }

  @Test
  void aGuestThatEndsBeforeItIsReadyHasNotBooted() {
    microVms.change(traced(1));
    FakeVmm vmm = launcher.vmm();
    start(vmm);
    vmm.dies();
    assertEquals(StatusCode.UNSET, spans.one("reconcile").getStatus().getStatusCode());
    assertEquals(StatusCode.ERROR, spans.one("boot guest").getStatus().getStatusCode());
  }

  @Test
  void aTraceIsOfTheFirstRunAndIsNotKept() throws Exception {
    DesiredChange.Builder traced = traced(1).toBuilder();
    traced
        .getUpsertBuilder()
        .getSpecBuilder()
        .getLifecycleBuilder()
        .setRestartPolicy(RestartPolicy.ALWAYS);
    microVms.change(traced.build());
    assertEquals("", record().getAssignment().getTraceparent());
    start(launcher.vmm());
    launcher.vmm().dies();
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(2, launcher.launches);
    start(launcher.vmm());
    assertEquals(1, spans.names().stream().filter("reconcile"::equals).count());
  }

  private static DesiredChange traced(long attempt) {
    DesiredChange.Builder change = upsert(UID, attempt, 1, spec()).toBuilder();
    change.getUpsertBuilder().setName("projects/p/microvms/vm");
    change.getUpsertBuilder().setTraceparent(LaunchSpans.TRACEPARENT);
    return change.build();
  }

  /** Before the process may go: nobody could ask it afterwards. */
  @Test
  void whatAGuestHasCountedIsAskedForWhenItHasEnded() {
    assign(spec());
    FakeVmm vmm = launcher.vmm();
    start(vmm);
    microVms.updateTally();
    vmm.answer(INSPECT, hlts(3));
    assertEquals(3, microVms.tally().counters().getFirst().getValue());
    vmm.ends(EndCause.END_GUEST_POWER_OFF, "");
    vmm.answer(INSPECT, hlts(8));
    vmm.answer(RELEASE);
    vmm.dies();
    assertEquals(8, microVms.tally().counters().getFirst().getValue());
  }

  private static VmmResponse hlts(long count) {
    return VmmResponse.newBuilder()
        .setInspection(VmmInspection.newBuilder().putExits("hlt", count))
        .build();
  }

  @Test
  void aSlowLaunchIsReportedAndAQuickOneOnlyRemembered() {
    assign(spec());
    assertTrue(reports.isEmpty());
    assertEquals(Outcome.IN_PROGRESS, microVms.reports().getFirst().getOutcome());
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(Outcome.IN_PROGRESS, last().getOutcome());
    start(launcher.vmm());
    assertEquals(Outcome.CREATED, last().getOutcome());
    microVms.change(upsert("uid-2", 1, 1, spec()));
    start(launcher.vmm());
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(3, reports.size());
  }

  @Test
  void anEventThatOvertakesTheAnswerIsTheNewerWord() {
    assign(spec());
    FakeVmm vmm = launcher.vmm();
    vmm.becomes(VmmState.VMM_RUNNING);
    vmm.answer(
        CREATE,
        VmmResponse.newBuilder()
            .setStatus(VmmStatus.newBuilder().setState(VmmState.VMM_STARTING))
            .build());
    assertEquals(MicroVmState.RUNNING, last().getState());
  }

  @Test
  void aRefusedSpecLeavesNothing() {
    launcher.refuse =
        new RejectedException(ErrorReason.DISK_INVALID, "spec.disks[0].source", "it is a cat");
    assign(spec());
    assertEquals(Outcome.REJECTED, last().getOutcome());
    assertEquals("DISK_INVALID", last().getReason());
    assertEquals("spec.disks[0].source", last().getField());
    assertEquals("it is a cat", last().getMessage());
    assertNothingIsLeft();
  }

  @Test
  void whatTheVmmRefusesIsRejectedOnceItIsGone() {
    assign(spec());
    FakeVmm vmm = launcher.vmm();
    vmm.answer(
        CREATE,
        VmmResponse.newBuilder()
            .setErrorReason("KERNEL_INVALID")
            .setErrorField("boot.kernel")
            .setErrorMessage("it ends too soon")
            .build());
    assertTrue(reports.isEmpty(), "not before the process is gone");
    assertTrue(vmm.isKilled());
    vmm.dies();
    assertEquals(Outcome.REJECTED, last().getOutcome());
    assertEquals("KERNEL_INVALID", last().getReason());
    assertEquals("spec.boot.kernel", last().getField());
    assertNothingIsLeft();
    assertTrue(vmm.isRemoved());
  }

  @Test
  void withoutAVmmAnotherNodeMayTry() {
    launcher.noVmm = new VmmGoneException("no such program");
    assign(spec());
    assertEquals(Outcome.REJECTED, last().getOutcome());
    assertEquals("VMM_FAILED", last().getReason());
    assertNothingIsLeft();
  }

  @Test
  void aVmmThatDiesOfItsOrdersHasRunSomething() {
    assign(spec());
    launcher.vmm().dies();
    assertEquals(Outcome.CREATED, last().getOutcome());
    assertEquals(MicroVmState.FAILED, last().getState());
    assertEquals(Cause.VMM_LOST, last().getTermination().getCause());
  }

  @Test
  void theNodeIsNotOversold() {
    assign(spec().setMemoryMib(800));
    microVms.change(upsert("uid-2", 1, 1, spec().setMemoryMib(300)));
    assertEquals(Outcome.REJECTED, last("uid-2").getOutcome());
    assertEquals("NODE_RESOURCES_EXHAUSTED", last("uid-2").getReason());
    microVms.change(upsert("uid-3", 1, 1, spec().setMemoryMib(200)));
    assertEquals("uid-3/1", launcher.vmm().assignedTo());
  }

  @Test
  void moreIsTakenThanThereIsIfTheControllerPromisesMore() {
    assign(spec().setMemoryMib(800));
    microVms.change(promising("uid-2", 1_200, spec().setMemoryMib(400)));
    assertEquals("uid-2/1", launcher.vmm().assignedTo());
    microVms.change(promising("uid-3", 1_200, spec().setMemoryMib(64)));
    assertEquals("NODE_RESOURCES_EXHAUSTED", last("uid-3").getReason());
  }

  private static DesiredChange promising(String uid, long memoryMib, MicroVmSpec.Builder spec) {
    DesiredChange.Builder change = upsert(uid, 1, 1, spec).toBuilder();
    change.getUpsertBuilder().setPromisable(CAPACITY.toBuilder().setMemoryMib(memoryMib).build());
    return change.build();
  }

  // ---- Ending and restarting. ----

  @Test
  void anOrderlyEndIsReportedWithItsCauseAndTheProcessReleased() {
    FakeVmm vmm = running(spec());
    vmm.ends(EndCause.END_GUEST_POWER_OFF, "ACPI S5");
    assertEquals(RELEASE, vmm.lastRequest().getRequestCase());
    vmm.dies();
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertEquals(Cause.GUEST_POWER_OFF, last().getTermination().getCause());
    assertEquals("ACPI S5", last().getTermination().getMessage());
    assertTrue(vmm.isRemoved());
    time.pass(java.time.Duration.ofHours(1));
    assertEquals(1, launcher.launches, "finished is finished");
  }

  @Test
  void aKilledVmmIsLost() {
    FakeVmm vmm = running(spec());
    vmm.dies();
    assertEquals(MicroVmState.FAILED, last().getState());
    assertEquals(Cause.VMM_LOST, last().getTermination().getCause());
    assertEquals("its VMM process was killed by signal 9", last().getTermination().getMessage());
  }

  @Test
  void aReleasedVmmThatStaysIsKilled() {
    FakeVmm vmm = running(spec());
    vmm.ends(EndCause.END_GUEST_RESET, "triple fault");
    time.pass(java.time.Duration.ofSeconds(10));
    assertTrue(vmm.isKilled());
  }

  @Test
  void onFailureRestartsWithGrowingPatience() {
    running(policy(RestartPolicy.ON_FAILURE)).dies();
    assertEquals(MicroVmState.STARTING, last().getState());
    time.pass(java.time.Duration.ofMillis(499));
    assertEquals(1, launcher.launches);
    time.pass(java.time.Duration.ofMillis(1));
    assertEquals(2, launcher.launches);
    launcher.vmm().dies();
    assertEquals(1, last().getRestarts());
    time.pass(java.time.Duration.ofMillis(999));
    assertEquals(2, launcher.launches);
    time.pass(java.time.Duration.ofMillis(1));
    assertEquals(3, launcher.launches);
    start(launcher.vmm());
    assertEquals(2, last().getRestarts());
  }

  @Test
  void aLongRunForgivesTheShortOnesBefore() {
    for (int i = 0; i < 5; i++) {
      start(launcher.vmmAfter(this::assignRestarting)).dies();
      time.pass(java.time.Duration.ofMinutes(2));
    }
    start(launcher.vmm());
    time.pass(java.time.Duration.ofMinutes(2));
    launcher.vmm().dies();
    int before = launcher.launches;
    time.pass(java.time.Duration.ofMillis(500));
    assertEquals(before + 1, launcher.launches);
  }

  private void assignRestarting() {
    if (launcher.launches == 0) {
      assign(policy(RestartPolicy.ON_FAILURE));
    }
  }

  @Test
  void onFailureLeavesAnOrderlyPowerOffAlone() {
    FakeVmm vmm = running(policy(RestartPolicy.ON_FAILURE));
    vmm.ends(EndCause.END_GUEST_POWER_OFF, "");
    vmm.dies();
    assertEquals(MicroVmState.STOPPED, last().getState());
    time.pass(java.time.Duration.ofHours(1));
    assertEquals(1, launcher.launches);
  }

  @Test
  void alwaysRestartsEvenThat() {
    FakeVmm vmm = running(policy(RestartPolicy.ALWAYS));
    vmm.ends(EndCause.END_GUEST_POWER_OFF, "");
    vmm.dies();
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(2, launcher.launches);
  }

  /** Its exit record says what this worker, killed here, could not say any more. */
  @Test
  void anEndIsWrittenDownBeforeWhatItsVmmLeavesIsRemoved() {
    FakeVmm vmm = running(spec());
    List<MicroVmRecord> written = new ArrayList<>();
    vmm.whenRemoved(() -> written.add(record()));
    end(vmm, EndCause.END_GUEST_POWER_OFF);
    assertEquals(Cause.GUEST_POWER_OFF, written.getFirst().getTermination().getCause());
    assertTrue(written.getFirst().getFinished());
  }

  /** Its disk may be full; and its worker may be killed before there is room again. */
  @Test
  void whatAVmmLeavesStaysUntilItsEndIsWrittenDown() throws Exception {
    FakeVmm vmm = running(spec());
    Path inTheWay = Files.createDirectory(state.microVm(UID).resolve("record.new"));
    end(vmm, EndCause.END_GUEST_POWER_OFF);
    assertEquals(MicroVmState.STOPPED, last().getState());
    time.pass(java.time.Duration.ofMinutes(1));
    assertFalse(vmm.isRemoved());
    Files.delete(inTheWay);
    time.pass(java.time.Duration.ofSeconds(1));
    assertTrue(vmm.isRemoved());
    assertEquals(Cause.GUEST_POWER_OFF, record().getTermination().getCause());
    assertTrue(record().getFinished());
  }

  @Test
  void whatAVmmLeavesGoesWithItsMicroVm() throws Exception {
    FakeVmm vmm = running(spec());
    Files.createDirectory(state.microVm(UID).resolve("record.new"));
    end(vmm, EndCause.END_GUEST_POWER_OFF);
    remove(false);
    assertNothingIsLeft();
    assertTrue(vmm.isRemoved());
    Files.createDirectory(state.microVm(UID)); // A newer attempt's.
    time.pass(java.time.Duration.ofSeconds(1));
    assertFalse(Files.exists(state.microVm(UID).resolve("record")));
  }

  @Test
  void aStartThatIsWrittenDownOutdatesTheEndBefore() throws Exception {
    FakeVmm vmm = running(policy(RestartPolicy.ALWAYS));
    Path inTheWay = Files.createDirectory(state.microVm(UID).resolve("record.new"));
    end(vmm, EndCause.END_GUEST_POWER_OFF);
    Files.delete(inTheWay);
    launcher.beforeLaunch = () -> assertTrue(vmm.isRemoved(), "two would tell different ends");
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(2, launcher.launches);
  }

  // ---- Steering. ----

  @Test
  void pausesAndResumes() {
    FakeVmm vmm = running(spec());
    change(2, spec().setDesiredState(DesiredState.DESIRED_PAUSED));
    assertEquals(PAUSE, vmm.lastRequest().getRequestCase());
    vmm.becomes(VmmState.VMM_PAUSED);
    vmm.answer(PAUSE);
    assertEquals(MicroVmState.PAUSED, last().getState());
    assertEquals(2, last().getObservedGeneration());
    change(3, spec().setDesiredState(DesiredState.DESIRED_RUNNING));
    assertEquals(RESUME, vmm.lastRequest().getRequestCase());
  }

  @Test
  void aWishThatComesDuringAPauseIsNotLost() {
    FakeVmm vmm = running(spec());
    change(2, spec().setDesiredState(DesiredState.DESIRED_PAUSED));
    change(3, spec().setDesiredState(DesiredState.DESIRED_RUNNING));
    vmm.becomes(VmmState.VMM_PAUSED);
    vmm.answer(PAUSE);
    assertEquals(RESUME, vmm.lastRequest().getRequestCase());
  }

  private static MicroVmSpec.Builder balloon(long targetMib) {
    MicroVmSpec.Builder spec = spec();
    spec.getBalloonBuilder().setTargetMib(targetMib);
    return spec;
  }

  private static VmmStatus withBalloon(long mib) {
    return running().toBuilder().setBalloonTargetBytes(mib << 20).build();
  }

  private static long askedMib(FakeVmm vmm) {
    return vmm.lastRequest().getResizeMemory().getBalloonTargetBytes() >> 20;
  }

  @Test
  void aBalloonFollowsItsTarget() {
    FakeVmm vmm = running(balloon(0));
    vmm.becomes(withBalloon(0));
    assertEquals(CREATE, vmm.lastRequest().getRequestCase(), "it is as it should be");
    change(2, balloon(32));
    assertEquals(RESIZE_MEMORY, vmm.lastRequest().getRequestCase());
    assertEquals(32, askedMib(vmm));
    assertEquals(2, last().getObservedGeneration());
    change(3, balloon(16));
    assertEquals(32, askedMib(vmm), "one at a time");
    vmm.becomes(withBalloon(32));
    vmm.answer(RESIZE_MEMORY);
    assertEquals(16, askedMib(vmm));
    vmm.becomes(withBalloon(16));
    vmm.answer(RESIZE_MEMORY);
    assertEquals(List.of(CREATE, RESIZE_MEMORY, RESIZE_MEMORY), vmm.asked());
  }

  @Test
  void aVmmThatRefusesATargetIsNotAskedOverAndOver() {
    FakeVmm vmm = running(balloon(0));
    vmm.becomes(withBalloon(0));
    change(2, balloon(32));
    vmm.answer(RESIZE_MEMORY);
    vmm.becomes(withBalloon(0).toBuilder().setConsoleReady(true).build());
    assertEquals(List.of(CREATE, RESIZE_MEMORY), vmm.asked());
    change(3, balloon(8));
    assertEquals(8, askedMib(vmm));
  }

  @Test
  void aBalloonIsToldOfAPausedGuestToo() {
    FakeVmm vmm = running(balloon(0));
    vmm.becomes(withBalloon(0));
    change(2, balloon(8).setDesiredState(DesiredState.DESIRED_PAUSED));
    assertEquals(PAUSE, vmm.lastRequest().getRequestCase());
    vmm.becomes(withBalloon(0).toBuilder().setState(VmmState.VMM_PAUSED).build());
    vmm.answer(PAUSE);
    assertEquals(8, askedMib(vmm));
  }

  private static MicroVmSpec.Builder hotplug(long sizeMib, long targetMib) {
    MicroVmSpec.Builder spec = balloon(targetMib);
    spec.getMemoryHotplugBuilder().setMaximumMib(128).setSizeMib(sizeMib);
    return spec;
  }

  private static VmmStatus withHotplug(long pluggedMib, long balloonMib) {
    return withBalloon(balloonMib).toBuilder().setHotplugRequestedBytes(pluggedMib << 20).build();
  }

  private static long askedToPlugMib(FakeVmm vmm) {
    return vmm.lastRequest().getResizeMemory().getHotplugRequestedBytes() >> 20;
  }

  @Test
  void whatIsPluggedFollowsItsSizeAndTheBalloonWithIt() {
    FakeVmm vmm = running(hotplug(0, 16));
    vmm.becomes(withHotplug(0, 16));
    assertEquals(CREATE, vmm.lastRequest().getRequestCase(), "it is as it should be");
    change(2, hotplug(64, 0));
    assertEquals(64, askedToPlugMib(vmm));
    assertTrue(vmm.lastRequest().getResizeMemory().hasBalloonTargetBytes());
    assertEquals(0, askedMib(vmm));
    vmm.becomes(withHotplug(64, 0));
    vmm.answer(RESIZE_MEMORY);
    change(3, hotplug(32, 0));
    assertEquals(32, askedToPlugMib(vmm));
    assertFalse(vmm.lastRequest().getResizeMemory().hasBalloonTargetBytes());
    vmm.becomes(withHotplug(32, 0));
    vmm.answer(RESIZE_MEMORY);
    assertEquals(List.of(CREATE, RESIZE_MEMORY, RESIZE_MEMORY), vmm.asked());
  }

  @Test
  void aVmmThatRefusesASizeIsNotAskedOverAndOver() {
    FakeVmm vmm = running(hotplug(0, 0));
    vmm.becomes(withHotplug(0, 0));
    change(2, hotplug(64, 0));
    vmm.answer(RESIZE_MEMORY);
    vmm.becomes(withHotplug(0, 0).toBuilder().setConsoleReady(true).build());
    assertEquals(List.of(CREATE, RESIZE_MEMORY), vmm.asked());
  }

  @Test
  void aTargetThatChangedWhileTheWorkerWasAwayIsMadeTrueWhenItIsConfirmed() {
    running(balloon(0));
    FakeVmm vmm = new FakeVmm();
    recover(new Found.Running(vmm, vmmRecord(), withBalloon(0)));
    assertTrue(vmm.asked().isEmpty());
    microVms.setDesired(List.of(assignment(UID, 1, 2, balloon(24))));
    assertEquals(24, askedMib(vmm));
  }

  @Test
  void stopsWithTheGraceOfTheSpec() {
    FakeVmm vmm = running(spec());
    MicroVmSpec.Builder stopped = spec().setDesiredState(DesiredState.DESIRED_STOPPED);
    stopped.getLifecycleBuilder().setStopGrace(Duration.newBuilder().setSeconds(4));
    change(2, stopped);
    assertEquals(4000, vmm.lastRequest().getStop().getGraceMs());
    assertEquals(MicroVmState.STOPPING, last().getState());
    vmm.ends(EndCause.END_STOPPED_BY_REQUEST, "");
    vmm.dies();
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertTrue(Files.exists(state.microVm(UID)), "its console can still be read");
  }

  @Test
  void aVmmThatDoesNotStopIsKilledInTheEnd() {
    FakeVmm vmm = running(policy(RestartPolicy.ALWAYS));
    change(2, policy(RestartPolicy.ALWAYS).setDesiredState(DesiredState.DESIRED_STOPPED));
    time.pass(java.time.Duration.ofSeconds(12));
    assertFalse(vmm.isKilled());
    time.pass(java.time.Duration.ofSeconds(2));
    assertTrue(vmm.isKilled());
    vmm.dies();
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertEquals(Cause.STOPPED_BY_REQUEST, last().getTermination().getCause());
  }

  @Test
  void startedAgainItIsANewAttemptOnTheSameDisks() throws Exception {
    FakeVmm vmm = running(spec());
    Path disk = Files.writeString(state.microVm(UID).resolve("disk-root.raw"), "precious");
    vmm.ends(EndCause.END_GUEST_POWER_OFF, "");
    vmm.dies();
    microVms.change(upsert(UID, 2, 3, spec()));
    assertEquals(2, launcher.launches);
    assertEquals(2, start(launcher.vmm()).lastRequest().getCreate().getAttempt());
    assertEquals(2, last().getAttempt());
    assertEquals("precious", Files.readString(disk));
  }

  @Test
  void aRefusalNeverTakesTheDisksOfAnEarlierAttemptAlong() throws Exception {
    FakeVmm vmm = running(spec());
    Path disk = Files.writeString(state.microVm(UID).resolve("disk-root.raw"), "precious");
    vmm.dies();
    launcher.refuse = new RejectedException(ErrorReason.KERNEL_NOT_FOUND, "spec.boot.kernel", "?");
    microVms.change(upsert(UID, 2, 3, spec()));
    assertEquals(Outcome.CREATED, last().getOutcome());
    assertEquals(MicroVmState.FAILED, last().getState());
    assertEquals("KERNEL_NOT_FOUND", last().getReason());
    assertTrue(Files.exists(disk));
  }

  @Test
  void stoppedBeforeItCouldStart() {
    assign(spec().setDesiredState(DesiredState.DESIRED_STOPPED));
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertEquals(0, launcher.launches);
  }

  // ---- Attempts. ----

  @Test
  void anOlderAttemptIsFenced() {
    microVms.change(upsert(UID, 5, 1, spec()));
    microVms.change(upsert(UID, 4, 9, spec()));
    assertEquals(Outcome.FENCED, last().getOutcome());
    assertEquals(4, last().getAttempt());
    assertEquals(1, launcher.launches);
  }

  @Test
  void aNewerAttemptEndsTheOlderOneFirst() {
    FakeVmm older = running(spec());
    microVms.change(upsert(UID, 2, 1, spec()));
    assertEquals(STOP, older.lastRequest().getRequestCase());
    assertEquals(1, launcher.launches);
    older.ends(EndCause.END_STOPPED_BY_REQUEST, "");
    older.dies();
    assertEquals(2, launcher.launches);
    assertEquals("uid-1/2", launcher.vmm().assignedTo());
  }

  @Test
  void anOlderGenerationChangesNothing() {
    FakeVmm vmm = running(spec());
    change(3, spec());
    change(2, spec().setDesiredState(DesiredState.DESIRED_STOPPED));
    assertEquals(List.of(CREATE), vmm.asked());
  }

  // ---- Removing. ----

  @Test
  void removedItIsStoppedAndNothingIsLeft() {
    FakeVmm vmm = running(spec());
    remove(false);
    assertEquals(10_000, vmm.lastRequest().getStop().getGraceMs());
    vmm.ends(EndCause.END_STOPPED_BY_REQUEST, "");
    vmm.dies();
    assertEquals(Outcome.REMOVED, last().getOutcome());
    assertNothingIsLeft();
    assertTrue(microVms.reports().isEmpty());
  }

  @Test
  void forceOvertakesGrace() {
    FakeVmm vmm = running(spec());
    remove(false);
    remove(true);
    assertEquals(0, vmm.lastRequest().getStop().getGraceMs());
    remove(true);
    assertEquals(List.of(CREATE, STOP, STOP), vmm.asked());
  }

  @Test
  void removingDuringTheBackOffIsImmediate() {
    running(policy(RestartPolicy.ALWAYS)).dies();
    remove(false);
    assertEquals(Outcome.REMOVED, last().getOutcome());
    time.pass(java.time.Duration.ofHours(1));
    assertEquals(1, launcher.launches);
    assertEquals(0, time.alarms());
  }

  @Test
  void removingWhatIsNotHereIsConfirmed() {
    remove(true);
    assertEquals(Outcome.REMOVED, last().getOutcome());
  }

  @Test
  void aRemovalIsAnsweredWithTheAttemptThatItNames() {
    microVms.change(remove("not here", 3));
    assertEquals(3, last().getAttempt());

    FakeVmm vmm = running(spec());
    microVms.change(remove(UID, 2));
    vmm.ends(EndCause.END_STOPPED_BY_REQUEST, "");
    vmm.dies();
    assertEquals(Outcome.REMOVED, last().getOutcome());
    assertEquals(2, last().getAttempt());
  }

  private static DesiredChange remove(String uid, long attempt) {
    return DesiredChange.newBuilder()
        .setRemove(Removal.newBuilder().setUid(uid).setAttempt(attempt))
        .build();
  }

  @Test
  void whatAWelcomeDoesNotNameGoesByForceUnlessARemovalSaysHow() {
    FakeVmm vmm = running(spec());
    microVms.setDesired(List.of());
    assertEquals(List.of(CREATE), vmm.asked());
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(0, vmm.lastRequest().getStop().getGraceMs());

    FakeVmm second = start(launcher.vmmAfter(() -> microVms.change(upsert("uid-2", 1, 1, spec()))));
    microVms.setDesired(List.of());
    microVms.change(
        DesiredChange.newBuilder().setRemove(Removal.newBuilder().setUid("uid-2")).build());
    time.pass(java.time.Duration.ofSeconds(2));
    assertEquals(List.of(CREATE, STOP), second.asked());
    assertEquals(10_000, second.lastRequest().getStop().getGraceMs());
  }

  @Test
  void whatAWelcomeNamesAgainStays() {
    FakeVmm vmm = running(spec());
    microVms.setDesired(List.of());
    microVms.setDesired(List.of(assignment(UID, 1, 1, spec())));
    time.pass(java.time.Duration.ofSeconds(5));
    assertEquals(List.of(CREATE), vmm.asked());
  }

  // ---- Vsock. ----

  @Test
  void aGuestsContextIdIsItsOwnAndItsSocketIsTold() {
    running(vsock(0));
    assertEquals(3, last().getVsock().getCid());
    assertEquals(state.microVm(UID) + "/vsock", last().getVsock().getSocket());
    assertEquals(3, launcher.opened.getVsock().getCid());
    microVms.change(upsert("uid-2", 1, 1, vsock(4)));
    microVms.change(upsert("uid-3", 1, 1, vsock(0)));
    start(launcher.vmm());
    assertEquals(5, last("uid-3").getVsock().getCid());
    microVms.change(upsert("uid-4", 1, 1, spec()));
    start(launcher.vmm());
    assertFalse(last("uid-4").hasVsock());
  }

  @Test
  void aGuestKeepsItsContextIdInAllItsRuns() {
    microVms.change(upsert("uid-0", 1, 1, vsock(0)));
    MicroVmSpec.Builder spec = policy(RestartPolicy.ALWAYS);
    spec.getVsockBuilder();
    running(spec).dies();
    microVms.change(
        DesiredChange.newBuilder()
            .setRemove(Removal.newBuilder().setUid("uid-0").setForce(true))
            .build());
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(4, launcher.opened.getVsock().getCid());
    start(launcher.vmm());
    recover(new Found.Running(new FakeVmm(), vmmRecord(), running()));
    assertEquals(4, last().getVsock().getCid());
    for (int i = 1; i <= 2; i++) {
      microVms.change(upsert("new-" + i, 1, 1, vsock(0)));
      assertEquals(i == 1 ? 3 : 5, launcher.opened.getVsock().getCid());
    }
  }

  @Test
  void aSocketThatNobodyCouldNameIsRefused() throws Exception {
    StateDirectory deep = StateDirectory.open(temporary.resolve("x".repeat(100)));
    microVms =
        new MicroVms(
            deep,
            launcher,
            new Reservations(CAPACITY),
            networks,
            LaunchTracer.OFF,
            time,
            Runnable::run,
            reports::add);
    assign(spec());
    assertEquals(1, launcher.launches);
    microVms.change(upsert("uid-2", 1, 1, vsock(0)));
    assertEquals(Outcome.REJECTED, last().getOutcome());
    assertEquals("SOCKET_PATH_TOO_LONG", last().getReason());
    assertEquals("spec.vsock", last().getField());
    assertEquals(1, launcher.launches);
    deep.close();
  }

  @Test
  void aGuestIsConnectedToWhoServesItsPort() {
    FakeVmm vmm = running(vsock(0));
    String path = last().getVsock().getSocket() + "_4294967295";
    try (UnixListener listener = UnixListener.bind(path, 1)) {
      vmm.dials(7, -1);
      var answer = vmm.lastRequest().getVsockDialed();
      assertEquals(7, answer.getKey());
      assertTrue(answer.hasConnectionFd());
      assertEquals(1, vmm.lastDescriptors());
      requireNonNull(listener.accept()).close();
    }
  }

  @Test
  void aGuestIsRefusedIfNobodyServesItsPort() {
    FakeVmm vmm = running(vsock(0));
    vmm.dials(7, 1024);
    assertEquals(7, vmm.lastRequest().getVsockDialed().getKey());
    assertFalse(vmm.lastRequest().getVsockDialed().hasConnectionFd());
  }

  @Test
  void aGuestWaitsAWhileForAServerThatIsBusy() {
    FakeVmm vmm = running(vsock(0));
    try (UnixListener listener = UnixListener.bind(last().getVsock().getSocket() + "_80", 0)) {
      vmm.dials(1, 80);
      assertTrue(vmm.lastRequest().getVsockDialed().hasConnectionFd());
      vmm.dials(2, 80);
      vmm.dials(3, 80);
      assertEquals(1, vmm.lastRequest().getVsockDialed().getKey(), "the others wait");
      requireNonNull(listener.accept()).close();
      time.pass(java.time.Duration.ofMillis(10));
      assertEquals(2, vmm.lastRequest().getVsockDialed().getKey());
      assertTrue(vmm.lastRequest().getVsockDialed().hasConnectionFd());
      time.pass(java.time.Duration.ofSeconds(2));
      assertEquals(3, vmm.lastRequest().getVsockDialed().getKey());
      assertFalse(vmm.lastRequest().getVsockDialed().hasConnectionFd());
    }
  }

  // ---- Its time. ----

  @Test
  void whatHasRunForAsLongAsItMayIsStoppedForGood() {
    MicroVmSpec.Builder spec = policy(RestartPolicy.ALWAYS);
    spec.getLifecycleBuilder().getMaxRunTimeBuilder().setSeconds(60);
    FakeVmm first = running(spec);
    time.pass(java.time.Duration.ofSeconds(40));
    end(first, EndCause.END_GUEST_RESET);
    time.pass(java.time.Duration.ofSeconds(1));
    FakeVmm second = start(launcher.vmm());
    time.pass(java.time.Duration.ofSeconds(18));
    assertEquals(MicroVmState.RUNNING, last().getState());

    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(STOP, second.lastRequest().getRequestCase());
    assertEquals(MicroVmState.STOPPING, last().getState());
    end(second, EndCause.END_STOPPED_BY_REQUEST);

    assertEquals(Cause.RUN_TIME_EXCEEDED, last().getTermination().getCause());
    assertEquals(MicroVmState.FAILED, last().getState());
    time.pass(java.time.Duration.ofHours(1));
    assertEquals(2, launcher.launches, "whatever its restart policy");
  }

  @Test
  void whyItsTimeWasUpIsKnownToARestartedWorker() {
    MicroVmSpec.Builder spec = vsock(0);
    spec.getLifecycleBuilder().getIdleTimeoutBuilder().setSeconds(60);
    running(spec);
    time.pass(java.time.Duration.ofSeconds(60));
    assertEquals(MicroVmState.STOPPING, last().getState());

    recover(new Found.Gone(vmmRecord(), "killed", Optional.empty(), () -> {}));
    assign(spec);

    assertEquals(Cause.IDLE_TIMEOUT, last().getTermination().getCause());
    assertEquals(MicroVmState.STOPPED, last().getState());
  }

  @Test
  void aRestartedWorkerGoesOnCountingItsTime() {
    MicroVmSpec.Builder spec = spec();
    spec.getLifecycleBuilder().getMaxRunTimeBuilder().setSeconds(60);
    running(spec);
    time.pass(java.time.Duration.ofSeconds(50));
    FakeVmm found = new FakeVmm();
    recover(new Found.Running(found, vmmRecord(), running()));
    assign(spec);
    assertEquals(MicroVmState.RUNNING, last().getState());

    time.pass(java.time.Duration.ofSeconds(10));
    assertEquals(STOP, found.lastRequest().getRequestCase());
  }

  @Test
  void aRestartedWorkerKeepsItsTimeAlsoWithoutAController() {
    MicroVmSpec.Builder spec = policy(RestartPolicy.ALWAYS);
    spec.getLifecycleBuilder().getMaxRunTimeBuilder().setSeconds(60);
    running(spec);
    FakeVmm found = new FakeVmm();
    recover(new Found.Running(found, vmmRecord(), running()));

    time.pass(java.time.Duration.ofSeconds(60));
    assertEquals(STOP, found.lastRequest().getRequestCase());
    end(found, EndCause.END_STOPPED_BY_REQUEST);
    assign(spec);
    assertEquals(Cause.RUN_TIME_EXCEEDED, last().getTermination().getCause());
    assertEquals(MicroVmState.FAILED, last().getState());
  }

  @Test
  void whatIsStoppedAlreadyWasNotStoppedByItsTime() {
    MicroVmSpec.Builder spec = spec();
    spec.getLifecycleBuilder().getMaxRunTimeBuilder().setSeconds(60);
    FakeVmm vmm = running(spec);
    time.pass(java.time.Duration.ofSeconds(59));
    change(2, spec.setDesiredState(DesiredState.DESIRED_STOPPED));
    time.pass(java.time.Duration.ofSeconds(5));
    end(vmm, EndCause.END_STOPPED_BY_REQUEST);
    assertEquals(Cause.STOPPED_BY_REQUEST, last().getTermination().getCause());
  }

  // ---- Consoles. ----

  @Test
  void aConsolesSocketsAreTold() {
    running(consoles(0));
    assertEquals(
        List.of("hvc0", "agent"),
        last().getConsolePortsList().stream().map(ConsolePortStatus::getName).toList());
    assertEquals(state.microVm(UID) + "/console-1", last().getConsolePorts(1).getSocket());
  }

  @Test
  void aConsolesSocketThatNobodyCouldNameIsRefused() throws Exception {
    StateDirectory deep = StateDirectory.open(temporary.resolve("x".repeat(100)));
    microVms =
        new MicroVms(
            deep,
            launcher,
            new Reservations(CAPACITY),
            networks,
            LaunchTracer.OFF,
            time,
            Runnable::run,
            reports::add);
    microVms.change(upsert("uid-2", 1, 1, consoles(0)));
    assertEquals("SOCKET_PATH_TOO_LONG", last().getReason());
    assertEquals("spec.virtio_console.ports[0]", last().getField());
    deep.close();
  }

  @Test
  void aConsoleIsResizedOnce() {
    FakeVmm vmm = running(consoles(80));
    assertEquals(List.of(CREATE), vmm.asked(), "it has that size from the start");
    microVms.change(upsert(UID, 1, 2, consoles(132)));
    assertEquals(List.of(CREATE, RESIZE_CONSOLE), vmm.asked());
    var size = vmm.lastRequest().getResizeConsole().getPorts(0);
    assertEquals(0, size.getPort());
    assertEquals(132, size.getSize().getColumns());
    assertEquals(43, size.getSize().getRows());
    microVms.change(upsert(UID, 1, 3, consoles(132)));
    assertEquals(List.of(CREATE, RESIZE_CONSOLE), vmm.asked());
  }

  @Test
  void aConsoleThatWasResizedStartsAgainWithThatSize() {
    FakeVmm vmm = running(consoles(80));
    microVms.change(
        upsert(
            UID,
            1,
            2,
            consoles(132)
                .setLifecycle(Lifecycle.newBuilder().setRestartPolicy(RestartPolicy.ALWAYS))));
    vmm.dies();
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(132, launcher.opened.getVirtioConsole().getPorts(0).getSize().getColumns());
  }

  @Test
  void aConsolesSizeIsToldAgainByARestartedWorker() {
    running(consoles(80));
    FakeVmm vmm = new FakeVmm();
    recover(new Found.Running(vmm, vmmRecord(), running()));
    microVms.setDesired(List.of(assignment(UID, 1, 1, consoles(80))));
    assertEquals(List.of(RESIZE_CONSOLE), vmm.asked());
  }

  // ---- After a restart of the worker. ----

  @Test
  void takenBackItIsLeftAloneUntilTheControllerSpeaks() {
    running(spec());
    MicroVmRecord record = record();
    FakeVmm vmm = new FakeVmm();
    recover(new Found.Running(vmm, vmmRecord(), running()));
    assertEquals(MicroVmState.RUNNING, last().getState());
    assertEquals(record.getStartTime(), last().getStartTime());
    assertTrue(vmm.asked().isEmpty());
    microVms.setDesired(List.of());
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(STOP, vmm.lastRequest().getRequestCase());
  }

  /** Threads that are slow to begin must not make a Hello that leaves it out. */
  @Test
  void whatIsTakenBackIsKnownWhenRecoveryReturns() {
    running(spec());
    MicroVms slow =
        new MicroVms(
            state,
            launcher,
            new Reservations(CAPACITY),
            networks,
            LaunchTracer.OFF,
            time,
            task -> CompletableFuture.delayedExecutor(50, TimeUnit.MILLISECONDS).execute(task),
            reports::add);
    try (VmmPool pool = new VmmPool(CompletableFuture::new, 0, 1, Runnable::run, time)) {
      slow.recover(List.of(new Found.Running(new FakeVmm(), vmmRecord(), running())), pool);
    }
    assertEquals(List.of(UID), slow.reports().stream().map(MicroVmReport::getUid).toList());
  }

  @Test
  void takenBackAndWantedItRunsOn() {
    running(spec());
    FakeVmm vmm = new FakeVmm();
    recover(new Found.Running(vmm, vmmRecord(), running()));
    microVms.setDesired(List.of(assignment(UID, 1, 1, spec())));
    time.pass(java.time.Duration.ofHours(1));
    assertTrue(vmm.asked().isEmpty());
    assertEquals(1, launcher.launches);
    vmm.ends(EndCause.END_GUEST_RESET, "");
    vmm.dies();
    assertEquals(Cause.GUEST_RESET, last().getTermination().getCause());
  }

  @Test
  void whatEndedMeanwhileIsToldAndRestartedOnlyWhenConfirmed() {
    running(policy(RestartPolicy.ALWAYS));
    VmmStatus lastWords =
        VmmStatus.newBuilder()
            .setState(VmmState.VMM_ENDED)
            .setEndCause(EndCause.END_VCPU_FAILED)
            .setEndMessage("internal error")
            .build();
    recover(new Found.Gone(vmmRecord(), "it is gone", Optional.of(lastWords), () -> {}));
    assertEquals(MicroVmState.STARTING, last().getState());
    assertEquals(Cause.VCPU_FAILED, last().getTermination().getCause());
    time.pass(java.time.Duration.ofHours(1));
    assertEquals(1, launcher.launches);
    microVms.setDesired(List.of(assignment(UID, 1, 1, policy(RestartPolicy.ALWAYS))));
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(2, launcher.launches);
    start(launcher.vmm());
    assertEquals(1, last().getRestarts());
  }

  @Test
  void whatEndedMeanwhileIsToldByItsVmmUntilItIsWrittenDown() throws Exception {
    running(spec());
    Path inTheWay = Files.createDirectory(state.microVm(UID).resolve("record.new"));
    List<String> removed = new ArrayList<>();
    VmmStatus lastWords =
        VmmStatus.newBuilder()
            .setState(VmmState.VMM_ENDED)
            .setEndCause(EndCause.END_GUEST_POWER_OFF)
            .build();
    Found gone =
        new Found.Gone(vmmRecord(), "it is gone", Optional.of(lastWords), () -> removed.add(UID));
    recover(gone);
    assertEquals(Cause.GUEST_POWER_OFF, last().getTermination().getCause());
    assertEquals(List.of(), removed);
    Files.delete(inTheWay);
    time.pass(java.time.Duration.ofSeconds(1));
    assertEquals(List.of(UID), removed);
    assertEquals(Cause.GUEST_POWER_OFF, record().getTermination().getCause());

    removed.clear();
    recover(gone);
    assertEquals(List.of(UID), removed, "what is written down already");
  }

  @Test
  void whatFinishedStaysFinishedAcrossARestart() {
    FakeVmm vmm = running(spec());
    vmm.ends(EndCause.END_GUEST_POWER_OFF, "ACPI S5");
    vmm.dies();
    MicroVmReport before = last();
    recover();
    assertEquals(before, last());
    assertFalse(microVms.log(UID, LogSource.LOG_SOURCE_CONSOLE).orElseThrow().mayGrow());
    microVms.setDesired(List.of(assignment(UID, 1, 1, spec())));
    assertEquals(1, launcher.launches);
  }

  @Test
  void aCreateThatNeverReachedAVmmBeginsAnew() {
    launcher.hang = true;
    assign(spec());
    assertTrue(Files.exists(state.microVm(UID)));
    launcher.hang = false;
    recover();
    assertTrue(microVms.reports().isEmpty());
    assertNothingIsLeft();
    microVms.setDesired(List.of(assignment(UID, 1, 1, spec())));
    assertEquals(2, launcher.launches);
  }

  @Test
  void aStartThatNeverReachedAVmmBeginsAnewOnTheSameDisks() throws Exception {
    interruptSecondStart();
    Path disk = Files.writeString(state.microVm(UID).resolve("disk-root.raw"), "precious");
    recover();
    assertEquals(Outcome.IN_PROGRESS, microVms.reports().getFirst().getOutcome());
    assertEquals(2, microVms.reports().getFirst().getAttempt());
    assertEquals(2, launcher.launches);

    microVms.setDesired(List.of(assignment(UID, 2, 3, spec())));
    assertEquals(3, launcher.launches);
    assertEquals(2, start(launcher.vmm()).lastRequest().getCreate().getAttempt());
    assertEquals(MicroVmState.RUNNING, last().getState());
    assertTrue(record().getContinued());
    assertEquals("precious", Files.readString(disk));
  }

  @Test
  void aStartThatNeverReachedAVmmMayBeStoppedOrRemovedInstead() {
    interruptSecondStart();
    recover();
    MicroVmSpec.Builder stopped = spec().setDesiredState(DesiredState.DESIRED_STOPPED);
    microVms.setDesired(List.of(assignment(UID, 2, 4, stopped)));
    assertEquals(MicroVmState.STOPPED, last().getState());
    assertEquals(2, last().getAttempt());
    assertEquals(2, launcher.launches);
    remove(false);
    assertNothingIsLeft();
  }

  private void interruptSecondStart() {
    end(running(spec()), EndCause.END_GUEST_POWER_OFF);
    launcher.hang = true;
    microVms.change(upsert(UID, 2, 3, spec()));
    launcher.hang = false;
  }

  @Test
  void aVmmWithoutARecordOfItsMicroVmIsEnded() {
    FakeVmm vmm = new FakeVmm();
    recover(new Found.Running(vmm, vmmRecord(), running()));
    assertTrue(vmm.isKilled());
    assertTrue(microVms.reports().isEmpty());
  }

  // ---- What the tests are made of. ----

  private FakeVmm running(MicroVmSpec.Builder spec) {
    return start(launcher.vmmAfter(() -> assign(spec)));
  }

  private FakeVmm start(FakeVmm vmm) {
    vmm.becomes(VmmState.VMM_RUNNING);
    vmm.answer(CREATE);
    return vmm;
  }

  private void recover(Found... found) {
    reports.clear();
    microVms = newSet();
    try (VmmPool pool = new VmmPool(CompletableFuture::new, 0, 1, Runnable::run, time)) {
      microVms.recover(List.of(found), pool);
    }
  }

  private MicroVmRecord record() {
    try {
      return MicroVmRecord.parseFrom(Files.readAllBytes(state.microVm(UID).resolve("record")));
    } catch (java.io.IOException e) {
      throw new AssertionError(e);
    }
  }

  private static VmmRecord vmmRecord() {
    return VmmRecord.newBuilder().setMicrovmUid(UID).setAttempt(1).build();
  }

  private static VmmStatus running() {
    return VmmStatus.newBuilder().setState(VmmState.VMM_RUNNING).build();
  }

  private void assign(MicroVmSpec.Builder spec) {
    microVms.change(upsert(UID, 1, 1, spec));
  }

  private void change(long generation, MicroVmSpec.Builder spec) {
    microVms.change(upsert(UID, 1, generation, spec));
  }

  private void remove(boolean force) {
    microVms.change(
        DesiredChange.newBuilder()
            .setRemove(Removal.newBuilder().setUid(UID).setForce(force))
            .build());
  }

  private static DesiredChange upsert(
      String uid, long attempt, long generation, MicroVmSpec.Builder spec) {
    return DesiredChange.newBuilder().setUpsert(assignment(uid, attempt, generation, spec)).build();
  }

  private static Assignment assignment(
      String uid, long attempt, long generation, MicroVmSpec.Builder spec) {
    return Assignment.newBuilder()
        .setUid(uid)
        .setName("projects/default/microvms/" + uid)
        .setAttempt(attempt)
        .setGeneration(generation)
        .setSpec(spec)
        .build();
  }

  private static MicroVmSpec.Builder spec() {
    return MicroVmSpec.newBuilder()
        .setVcpus(1)
        .setMemoryMib(64)
        .setDesiredState(DesiredState.DESIRED_RUNNING);
  }

  private static MicroVmSpec.Builder vsock(int cid) {
    MicroVmSpec.Builder spec = spec();
    spec.getVsockBuilder().setCid(cid);
    return spec;
  }

  /** A console, of that many columns unless none are known, and a pipe. */
  private static MicroVmSpec.Builder consoles(int columns) {
    MicroVmSpec.Builder spec = spec();
    var console = spec.getVirtioConsoleBuilder();
    var port = console.addPortsBuilder().setName("hvc0").setConsole(true);
    if (columns > 0) {
      port.getSizeBuilder().setColumns(columns).setRows(43);
    }
    console.addPortsBuilder().setName("agent");
    return spec;
  }

  private static MicroVmSpec.Builder policy(RestartPolicy policy) {
    MicroVmSpec.Builder spec = spec();
    spec.getLifecycleBuilder().setRestartPolicy(policy);
    return spec;
  }

  private static MicroVmSpec.Builder container() {
    MicroVmSpec.Builder spec = spec();
    spec.getContainerBuilder().setImage("tool").addArguments("--fast");
    return spec;
  }

  private static MicroVmSpec.Builder failing() {
    MicroVmSpec.Builder spec = container();
    spec.getLifecycleBuilder().setRestartPolicy(RestartPolicy.ON_FAILURE);
    return spec;
  }

  private static void end(FakeVmm vmm, EndCause cause) {
    vmm.ends(cause, "");
    vmm.dies();
  }

  /** The image arrives: from now on there is a VMM. */
  private FakeVmm obtainImage() throws IOException {
    Path root = temporary.resolve("root.squashfs");
    if (!Files.exists(root)) {
      Files.writeString(root, "squashfs");
    }
    launcher.image.complete(
        new ContainerImage(
            new ImageId("0".repeat(64)),
            root,
            8,
            new ContainerImage.Settings(
                Architecture.X86_64,
                List.of("/tool"),
                List.of("--slow"),
                List.of("A=b"),
                "me",
                "/w",
                List.of(),
                "",
                Optional.empty())));
    return launcher.vmm();
  }

  private FakeVmm runContainer(MicroVmSpec.Builder spec) throws IOException {
    assign(spec);
    FakeVmm vmm = start(obtainImage());
    launcher.supervised.getLast().listener().started();
    return vmm;
  }

  private MicroVmReport last() {
    return reports.getLast();
  }

  private MicroVmReport last(String uid) {
    return reports.stream().filter(r -> r.getUid().equals(uid)).reduce((a, b) -> b).orElseThrow();
  }

  private void assertNothingIsLeft() {
    assertEquals(List.of(), state.microVmUids());
  }

  /** The process of a container, of which the test tells. */
  private record Supervised(
      Path vsock,
      ExecRequest process,
      Supervision.Listener listener,
      CompletableFuture<Void> drained)
      implements Supervision {
    @Override
    public CompletableFuture<Void> drain() {
      return drained;
    }
  }

  /** Gives each launch a fake VMM at once, or what the test wants instead. */
  private static final class FakeLauncher implements Launcher {
    private final List<FakeVmm> vmms = new ArrayList<>();
    private @Nullable RejectedException refuse;
    private @Nullable Exception noVmm;
    private boolean hang;
    private Runnable beforeLaunch = () -> {};
    private int launches;
    private MicroVmSpec opened = MicroVmSpec.getDefaultInstance();
    private Optional<Path> openedRoot = Optional.empty();
    private CompletableFuture<ContainerImage> image = new CompletableFuture<>();
    private final List<Supervised> supervised = new ArrayList<>();
    private final Map<Path, String> metadata = new HashMap<>();

    FakeVmm vmm() {
      return vmms.getLast();
    }

    FakeVmm vmmAfter(Runnable launch) {
      launch.run();
      return vmm();
    }

    @Override
    public CompletableFuture<ContainerImage> obtainImage(Container container) {
      image = new CompletableFuture<>();
      return image;
    }

    @Override
    public Supervision supervise(
        Path vsock,
        ExecRequest process,
        Container container,
        OutputLog log,
        Supervision.Listener listener) {
      supervised.add(new Supervised(vsock, process, listener, new CompletableFuture<>()));
      return supervised.getLast();
    }

    @Override
    public BootFiles open(MicroVmSpec spec, Optional<Path> containerRoot) throws RejectedException {
      if (refuse != null) {
        throw refuse;
      }
      opened = spec;
      openedRoot = containerRoot;
      return new BootFiles(
          Fd.open("/dev/null", Fd.O_RDWR),
          spec.getVcpus(),
          OpenMemory.ofTheVmm(spec.getMemoryMib() << 20),
          Fd.open("/dev/null", Fd.O_RDONLY),
          Optional.empty(),
          "",
          AnnouncementMode.ANNOUNCE_CMDLINE,
          RegisterPageMode.REGISTER_PAGE_AUTO,
          List.of(),
          1 << 20,
          "");
    }

    @Override
    public MetadataService serveMetadata(
        Assignment assignment, Optional<NetworkStatus> network, Path socket) {
      assertTrue(Files.isDirectory(requireNonNull(socket.getParent())));
      metadata.put(
          socket,
          assignment.getName() + network.map(given -> " at " + given.getAddress()).orElse(""));
      return () -> metadata.remove(socket);
    }

    @Override
    public CompletableFuture<VmmResponse> launch(
        Assignment assignment,
        BootFiles files,
        Path directory,
        LaunchTrace trace,
        Function<Vmm, VmmListener> listener) {
      beforeLaunch.run();
      launches++;
      files.close();
      if (hang) {
        return new CompletableFuture<>();
      }
      if (noVmm != null) {
        return CompletableFuture.failedFuture(noVmm);
      }
      trace.reached(Milestone.DISKS_PREPARED);
      trace.reached(Milestone.VMM_TAKEN);
      FakeVmm vmm = new FakeVmm();
      vmms.add(vmm);
      vmm.listen(listener.apply(vmm));
      vmm.assign(assignment.getUid(), assignment.getAttempt()).close();
      return vmm.request(
          dev.vireo.proto.vmm.v1.VmmRequest.newBuilder()
              .setCreate(
                  dev.vireo.proto.vmm.v1.CreateRequest.newBuilder()
                      .setMicrovmUid(assignment.getUid())
                      .setAttempt(assignment.getAttempt())),
          List.of());
    }
  }
}
