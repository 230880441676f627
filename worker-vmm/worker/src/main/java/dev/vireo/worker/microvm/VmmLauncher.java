package dev.vireo.worker.microvm;

import static java.util.concurrent.TimeUnit.SECONDS;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Boot;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.agent.ContainerProcesses;
import dev.vireo.worker.boot.BootFiles;
import dev.vireo.worker.boot.BootPlanner;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.cgroup.CgroupController;
import dev.vireo.worker.cgroup.Limits;
import dev.vireo.worker.cgroup.VmmGroups;
import dev.vireo.worker.container.ContainerImages;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.ConsoleFile;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.metadata.MetadataServers;
import dev.vireo.worker.metadata.MetadataService;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.tracing.LaunchTrace.Milestone;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmListener;
import dev.vireo.worker.vmm.VmmPool;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.function.Function;

/** Launches from the pools of VMMs, one for each way in which they are compiled. */
public final class VmmLauncher implements Launcher {
  private static final System.Logger LOG = System.getLogger("microvm");

  private final BootPlanner planner;
  private final ContainerImages containerImages;
  private final ContainerProcesses processes;
  private final MetadataServers metadata;
  private final VmmPool lean;
  private final VmmPool fast;
  private final VmmGroups groups;
  private final Executor executor;
  private final Duration answerWithin;

  /**
   * @param lean of VMMs with the light compiler, which is what AUTO means
   * @param fast of VMMs with the optimizing one
   * @param groups of the VMMs
   * @param executor for what blocks: copying disks
   * @param answerWithin what a VMM may take to set a VM up
   */
  public VmmLauncher(
      BootPlanner planner,
      ContainerImages containerImages,
      ContainerProcesses processes,
      MetadataServers metadata,
      VmmPool lean,
      VmmPool fast,
      VmmGroups groups,
      Executor executor,
      Duration answerWithin) {
    this.planner = planner;
    this.containerImages = containerImages;
    this.processes = processes;
    this.metadata = metadata;
    this.lean = lean;
    this.fast = fast;
    this.groups = groups;
    this.executor = executor;
    this.answerWithin = answerWithin;
  }

  /**
   * Goes through what a create needs, but for a VMM, on the one file that is like a kernel on every
   * node: our own executable. So the first create does not have to wait for classes to be loaded.
   */
  public void rehearse() {
    MicroVmSpec spec =
        MicroVmSpec.newBuilder()
            .setVcpus(1)
            .setMemoryMib(1)
            .setBoot(Boot.newBuilder().setKernel("/proc/self/exe"))
            .build();
    try (BootFiles files = planner.open(spec);
        Fd sink = Fd.open("/dev/null", Fd.O_RDWR)) {
      var _ = files.orders("", sink, sink).request().build().toByteArray();
    } catch (RejectedException | LinuxException e) {
      LOG.log(Level.DEBUG, "cannot rehearse: {0}", e.getMessage());
    }
  }

  @Override
  public CompletableFuture<ContainerImage> obtainImage(Container container) {
    return containerImages.obtain(container.getImage(), container.getPull());
  }

  @Override
  public BootFiles open(MicroVmSpec spec, Optional<Path> containerRoot) throws RejectedException {
    if (spec.hasLimits() && !groups.has(CgroupController.CPU)) {
      throw new RejectedException(
          ErrorReason.CGROUPS_UNAVAILABLE,
          "spec.limits",
          "this node cannot hold microVMs to limits: it has no cpu controller of control groups that"
              + " its worker may use");
    }
    return planner.open(spec, containerRoot);
  }

  @Override
  public Supervision supervise(
      Path vsock,
      ExecRequest process,
      Container container,
      OutputLog log,
      Supervision.Listener listener) {
    return processes.supervise(vsock, process, container, log, listener);
  }

  @Override
  public MetadataService serveMetadata(
      Assignment assignment, Optional<NetworkStatus> network, Path socket) throws IOException {
    return metadata.open(assignment, network, socket);
  }

  @Override
  public CompletableFuture<VmmResponse> launch(
      Assignment assignment,
      BootFiles files,
      Path directory,
      LaunchTrace trace,
      Function<Vmm, VmmListener> listener) {
    BootFiles own;
    try {
      own = files.withPrivateFiles(directory);
    } catch (IOException | LinuxException e) {
      files.close();
      return CompletableFuture.failedFuture(e);
    }
    trace.reached(Milestone.DISKS_PREPARED);
    return poolFor(assignment.getSpec())
        .take()
        .thenComposeAsync(
            vmm -> {
              trace.reached(Milestone.VMM_TAKEN);
              return create(vmm, assignment, own, directory, listener);
            },
            executor)
        .whenComplete((response, failure) -> own.close());
  }

  /** What a spec asks for was seen to be there; what is in excess of that does without. */
  private static void limit(Vmm vmm, Assignment assignment) {
    try {
      vmm.limit(Limits.of(assignment.getSpec()));
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0} is not limited: {1}", assignment.getName(), e);
      if (assignment.getSpec().hasLimits()) {
        throw new CompletionException(e);
      }
    }
  }

  private VmmPool poolFor(MicroVmSpec spec) {
    return switch (spec.getVmm().getCompiler()) {
      case VMM_COMPILER_UNSPECIFIED, VMM_COMPILER_AUTO, VMM_COMPILER_LEAN -> lean;
      case VMM_COMPILER_FAST -> fast;
      case UNRECOGNIZED -> throw new IllegalStateException("BootPlanner has refused it");
    };
  }

  private CompletableFuture<VmmResponse> create(
      Vmm vmm,
      Assignment assignment,
      BootFiles files,
      Path directory,
      Function<Vmm, VmmListener> listener) {
    vmm.listen(listener.apply(vmm));
    limit(vmm, assignment);
    try (Fd console = ConsoleFile.openForVmm(directory);
        Fd exitRecord = vmm.assign(assignment.getUid(), assignment.getAttempt())) {
      BootFiles.Orders orders = files.orders(assignment.getUid(), console, exitRecord);
      CreateRequest.Builder create =
          orders.request().setMicrovmName(assignment.getName()).setAttempt(assignment.getAttempt());
      return vmm.request(VmmRequest.newBuilder().setCreate(create), orders.descriptors())
          .orTimeout(answerWithin.toSeconds(), SECONDS);
    } catch (IOException | LinuxException e) {
      throw new CompletionException(e);
    }
  }
}
