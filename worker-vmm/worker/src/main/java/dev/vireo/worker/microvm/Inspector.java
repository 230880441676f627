package dev.vireo.worker.microvm;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.BootTimings;
import dev.vireo.proto.v1.DeviceInspection;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.QueueInspection;
import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.VcpuInspection;
import dev.vireo.proto.v1.VmmCompiler;
import dev.vireo.proto.vmm.v1.DeviceCounters;
import dev.vireo.proto.vmm.v1.InspectRequest;
import dev.vireo.proto.vmm.v1.QueueCounters;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmTimings;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.worker.node.ProcFiles;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmGoneException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeoutException;

/** Asks a microVM's VMM what it knows, and adds what only the host sees. */
public final class Inspector {
  static final Duration ANSWER_WITHIN = Duration.ofSeconds(15);

  private final VmmSource vmms;
  private final Time time;

  public Inspector(MicroVms microVms, Time time) {
    this(uid -> microVms.find(uid).map(MicroVm::vmm), time);
  }

  Inspector(VmmSource vmms, Time time) {
    this.vmms = vmms;
    this.time = time;
  }

  /** Never fails: what went wrong is in the result. */
  public CompletableFuture<InspectResult> inspect(Inspect request) {
    InspectResult.Builder result = InspectResult.newBuilder().setRequestId(request.getRequestId());
    Optional<CompletableFuture<Optional<Vmm>>> found = vmms.vmmOf(request.getUid());
    if (found.isEmpty()) {
      return CompletableFuture.completedFuture(
          failure(
              result,
              ErrorReason.MICROVM_NOT_FOUND,
              "no microVM " + request.getUid() + " is on this node"));
    }
    return found
        .get()
        .thenCompose(vmm ->
            vmm.map(running -> ask(running, result))
                .orElseGet(() ->
                    CompletableFuture.completedFuture(
                        failure(
                            result,
                            ErrorReason.STATE_CONFLICT,
                            "the microVM has no VMM at this moment"))))
        .exceptionally(error -> failure(result, error));
  }

  private static InspectResult failure(InspectResult.Builder result, Throwable error) {
    Throwable cause =
        error instanceof CompletionException && error.getCause() != null ? error.getCause() : error;
    return switch (cause) {
      case TimeoutException _ ->
          failure(
              result,
              ErrorReason.VMM_UNRESPONSIVE,
              "its VMM did not answer within %d s".formatted(ANSWER_WITHIN.toSeconds()));
      case VmmGoneException gone ->
          failure(result, ErrorReason.VMM_FAILED, String.valueOf(gone.getMessage()));
      default -> failure(result, ErrorReason.VMM_FAILED, "its VMM did not answer: " + cause);
    };
  }

  private CompletableFuture<InspectResult> ask(Vmm vmm, InspectResult.Builder result) {
    CompletableFuture<VmmResponse> answer =
        vmm.request(
            VmmRequest.newBuilder().setInspect(InspectRequest.getDefaultInstance()), List.of());
    Alarm late =
        time.after(ANSWER_WITHIN, () -> answer.completeExceptionally(new TimeoutException()));
    return answer
        .whenComplete((_, _) -> late.cancel())
        .thenApply(response -> answer(vmm, response, result));
  }

  private static InspectResult answer(Vmm vmm, VmmResponse response, InspectResult.Builder result) {
    return response.getErrorReason().isEmpty()
        ? result.setInspection(inspection(vmm, response.getInspection())).build()
        : failure(result, ErrorReason.VMM_FAILED, response.getErrorMessage());
  }

  private static InspectResult failure(
      InspectResult.Builder result, ErrorReason reason, String message) {
    return result.setReason(reason.name()).setError(message).build();
  }

  private static Inspection inspection(Vmm vmm, VmmInspection of) {
    Inspection.Builder inspection =
        Inspection.newBuilder()
            .setVmmPid(vmm.pid())
            .setAnnouncement(
                switch (of.getAnnouncement()) {
                  case ANNOUNCE_CMDLINE -> "cmdline";
                  case ANNOUNCE_ACPI -> "acpi";
                  case ANNOUNCE_FDT -> "fdt";
                  case ANNOUNCEMENT_MODE_UNSPECIFIED, UNRECOGNIZED -> "";
                })
            .setCommandLine(of.getCommandLine())
            .setCompiler(
                switch (of.getCompiler()) {
                  case VMM_COMPILER_LEAN -> VmmCompiler.VMM_COMPILER_LEAN;
                  case VMM_COMPILER_FAST -> VmmCompiler.VMM_COMPILER_FAST;
                  case VMM_COMPILER_UNSPECIFIED, UNRECOGNIZED ->
                      VmmCompiler.VMM_COMPILER_UNSPECIFIED;
                })
            .setMemoryBacking(of.getMemoryBacking())
            .putAllExits(of.getExitsMap())
            .setTimings(timings(of.getStatus().getTimings()))
            .setConsoleBytes(of.getStatus().getConsoleBytes())
            .setPssBytes(ProcFiles.proportionalSetBytes(vmm.pid()).orElse(0));
    ProcFiles.cpuTime(vmm.pid()).map(Inspector::duration).ifPresent(inspection::setCpuTime);
    of.getDevicesList().forEach(device -> inspection.addDevices(device(device)));
    for (int i = 0; i < of.getVcpuExitsCount(); i++) {
      inspection.addVcpus(VcpuInspection.newBuilder().setIndex(i).setExits(of.getVcpuExits(i)));
    }
    return inspection.build();
  }

  private static com.google.protobuf.Duration duration(Duration of) {
    return com.google.protobuf.Duration.newBuilder()
        .setSeconds(of.toSeconds())
        .setNanos(of.toNanosPart())
        .build();
  }

  private static BootTimings timings(VmmTimings of) {
    return BootTimings.newBuilder()
        .setSpecReceivedNs(of.getSpecReceivedNs())
        .setVmCreatedNs(of.getVmCreatedNs())
        .setFirstRunNs(of.getFirstRunNs())
        .setFirstExitNs(of.getFirstExitNs())
        .setFirstConsoleByteNs(of.getFirstConsoleByteNs())
        .build();
  }

  private static DeviceInspection device(DeviceCounters of) {
    DeviceInspection.Builder device =
        DeviceInspection.newBuilder()
            .setSlot(of.getSlot())
            .setModel(of.getModel())
            .setId(of.getId())
            .setBackEnd(of.getBackEnd())
            .setMmioBase(of.getMmioBase())
            .setMmioSize(of.getMmioSize())
            .setGsi(of.getGsi())
            .setStatus(of.getStatus())
            .setDriverFeatures(of.getDriverFeatures())
            .putAllAttributes(of.getAttributesMap())
            .putAllGauges(of.getGaugesMap())
            .putAllCounters(of.getCountersMap())
            .setExitsPerIo(exitsPerIo(of))
            .setRegisterPage(registerPage(of.getRegisterPage()));
    of.getQueuesList().forEach(queue -> device.addQueues(queue(queue)));
    return device.build();
  }

  private static RegisterPageMode registerPage(dev.vireo.proto.vmm.v1.RegisterPageMode of) {
    return switch (of) {
      case REGISTER_PAGE_LAZY -> RegisterPageMode.REGISTER_PAGE_LAZY;
      case REGISTER_PAGE_STRICT -> RegisterPageMode.REGISTER_PAGE_STRICT;
      case REGISTER_PAGE_CLASSIC -> RegisterPageMode.REGISTER_PAGE_CLASSIC;
      case REGISTER_PAGE_MODE_UNSPECIFIED, REGISTER_PAGE_AUTO, UNRECOGNIZED ->
          RegisterPageMode.REGISTER_PAGE_MODE_UNSPECIFIED; // No VMM says so.
    };
  }

  /** 0 before the first request. */
  static double exitsPerIo(DeviceCounters of) {
    long requests = of.getQueuesList().stream().mapToLong(QueueCounters::getRequests).sum();
    return requests == 0 ? 0 : (double) of.getRegisterExits() / requests;
  }

  private static QueueInspection queue(QueueCounters of) {
    return QueueInspection.newBuilder()
        .setIndex(of.getIndex())
        .setSize(of.getSize())
        .setReady(of.getReady())
        .setNotifications(of.getNotifications())
        .setInterrupts(of.getInterrupts())
        .setInterruptsSuppressed(of.getInterruptsSuppressed())
        .setRequests(of.getRequests())
        .build();
  }
}
