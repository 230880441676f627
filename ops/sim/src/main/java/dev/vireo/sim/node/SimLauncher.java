package dev.vireo.sim.node;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.linux.Fd;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.worker.boot.BootFiles;
import dev.vireo.worker.boot.OpenMemory;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.metadata.MetadataService;
import dev.vireo.worker.microvm.Launcher;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmListener;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** Gives microVMs the machine's VMMs. The files of a boot are all /dev/null. */
final class SimLauncher implements Launcher {
  private final SimMachine machine;
  private final SimProcess worker;

  SimLauncher(SimMachine machine, SimProcess worker) {
    this.machine = machine;
    this.worker = worker;
  }

  @Override
  public CompletableFuture<ContainerImage> obtainImage(Container container) {
    throw new UnsupportedOperationException("no container is asked for");
  }

  @Override
  public Supervision supervise(
      Path vsock,
      ExecRequest process,
      Container container,
      OutputLog log,
      Supervision.Listener listener) {
    throw new UnsupportedOperationException("no container is asked for");
  }

  @Override
  public BootFiles open(MicroVmSpec spec, Optional<Path> containerRoot) {
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
        BootFiles.consoleMaxBytes(spec),
        "");
  }

  @Override
  public MetadataService serveMetadata(
      Assignment assignment, Optional<NetworkStatus> network, Path socket) {
    return MetadataService.NONE;
  }

  @Override
  public CompletableFuture<VmmResponse> launch(
      Assignment assignment,
      BootFiles files,
      Path directory,
      LaunchTrace trace,
      Function<Vmm, VmmListener> listener) {
    files.close();
    SimVmm vmm = machine.spawn(worker);
    return CompletableFuture.completedFuture(vmm)
        .thenComposeAsync(spawned -> create(spawned, assignment, listener), worker);
  }

  private static CompletableFuture<VmmResponse> create(
      SimVmm vmm, Assignment assignment, Function<Vmm, VmmListener> listener) {
    vmm.listen(listener.apply(vmm));
    vmm.assign(assignment.getUid(), assignment.getAttempt()).close();
    return vmm.request(
        VmmRequest.newBuilder()
            .setCreate(
                CreateRequest.newBuilder()
                    .setMicrovmUid(assignment.getUid())
                    .setAttempt(assignment.getAttempt())
                    .setMemoryBytes(assignment.getSpec().getMemoryMib() << 20)),
        List.of());
  }
}
