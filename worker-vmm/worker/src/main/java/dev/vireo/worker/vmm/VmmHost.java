package dev.vireo.worker.vmm;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MessageSocket;
import dev.vireo.linux.ProcessHandleFd;
import dev.vireo.linux.Spawner;
import dev.vireo.linux.UnixListener;
import dev.vireo.proto.vmm.v1.StatusRequest;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.worker.v1.VmmRecord;
import dev.vireo.worker.cgroup.VmmGroups;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Starts VMM processes and watches them. Each has a directory, and a record in it from before it is
 * started: there is no moment at which a kill of this worker would leave a process that its
 * successor cannot find.
 */
public final class VmmHost implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("vmm");

  private final StateDirectory state;
  private final VmmProgram program;
  private final String bootId;
  private final VmmGroups groups;
  private final RandomGenerator random;
  private final Time time;
  private final Duration answerWithin;
  private final EventLoop loop = new EventLoop();
  private final Set<VmmProcess> watched = ConcurrentHashMap.newKeySet();
  private final Set<VmmProcess> starting = ConcurrentHashMap.newKeySet();

  /**
   * @param bootId of this boot of the machine
   * @param groups for the processes; stays the caller's
   * @param answerWithin what a VMM may take from its start to its first answer
   */
  public VmmHost(
      StateDirectory state,
      VmmProgram program,
      String bootId,
      VmmGroups groups,
      RandomGenerator random,
      Time time,
      Duration answerWithin) {
    this.state = state;
    this.program = program;
    this.bootId = bootId;
    this.groups = groups;
    this.random = random;
    this.time = time;
    this.answerWithin = answerWithin;
  }

  /**
   * Starts a VMM process. Fails with {@link VmmGoneException}, and then leaves nothing.
   *
   * @return the process once it is warm and idle
   */
  public CompletableFuture<Vmm> spawn(VmmKind kind) {
    VmmDirectory directory;
    VmmProcess vmm;
    try {
      directory = newDirectory();
    } catch (IOException e) {
      return CompletableFuture.failedFuture(new VmmGoneException("no VMM can be started: " + e, e));
    }
    try {
      vmm = start(directory, kind);
    } catch (IOException | LinuxException e) {
      remove(directory);
      return CompletableFuture.failedFuture(
          new VmmGoneException("no VMM can be started: " + e.getMessage(), e));
    }
    starting.add(vmm);
    return status(vmm, answerWithin)
        .thenApply(VmmHost::requireIdle)
        .<Vmm>thenApply(idle -> vmm)
        .whenComplete((idle, failure) -> {
          starting.remove(vmm);
          if (failure != null) {
            vmm.discard();
          }
        });
  }

  private VmmDirectory newDirectory() throws IOException {
    while (true) {
      byte[] id = new byte[4];
      random.nextBytes(id);
      VmmDirectory directory = new VmmDirectory(state.vmm(HexFormat.of().formatHex(id)));
      try {
        Files.createDirectory(directory.path());
        return directory;
      } catch (FileAlreadyExistsException taken) {
        // Draw again.
      }
    }
  }

  private VmmProcess start(VmmDirectory directory, VmmKind kind) throws IOException {
    VmmRecord record =
        VmmRecord.newBuilder()
            .setBootId(bootId)
            .setVmmHome(program.home().toString())
            .setKind(kind.label())
            .build();
    directory.write(record);
    directory.createExitRecord();
    String socketPath = directory.controlSocket().toString();
    try (UnixListener listener = UnixListener.bind(socketPath, 1);
        Fd log = Fd.open(directory.log().toString(), Fd.O_WRONLY | Fd.O_CREAT | Fd.O_APPEND, 0600);
        Fd kvm = program.rehearses() ? openKvm() : null) {
      ProcessHandleFd process =
          Spawner.spawn(
              new Spawner.Command(
                  program.executable().toString(),
                  kvm == null ? program.arguments(kind) : program.rehearsalArguments(kind),
                  program.environment(),
                  program.home().toString(),
                  log,
                  kvm == null ? List.of(listener.fd()) : List.of(listener.fd(), kvm),
                  true));
      try {
        record =
            record.toBuilder()
                .setPid(process.pid())
                .setStartTicks(process.startTimeTicks())
                .build();
        directory.write(record);
        enterGroup(directory, process.pid());
        return watch(directory, process, MessageSocket.connect(socketPath));
      } catch (IOException | RuntimeException e) {
        process.signal(ProcessHandleFd.SIGKILL);
        var _ = process.awaitExit(Duration.ofSeconds(5));
        process.close();
        throw e;
      }
    }
  }

  /** Without a group it runs all the same: a spec that needs one is refused. */
  void enterGroup(VmmDirectory directory, int pid) {
    try {
      groups.add(directory.id(), pid);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "VMM {0} has no control group: {1}", directory.id(), e);
    }
  }

  /** Null on a host without KVM: a VMM there is started all the same, to say so on a create. */
  private static @Nullable Fd openKvm() {
    try {
      return Fd.open("/dev/kvm", Fd.O_RDWR);
    } catch (LinuxException e) {
      return null;
    }
  }

  VmmProcess watch(VmmDirectory directory, ProcessHandleFd process, MessageSocket socket) {
    VmmProcess vmm =
        VmmProcess.watch(directory, process, socket, groups, loop, time, watched::remove);
    watched.add(vmm);
    return vmm;
  }

  /** Asks a VMM how it is. */
  CompletableFuture<VmmResponse> status(VmmProcess vmm, Duration within) {
    return vmm.request(
            VmmRequest.newBuilder().setStatus(StatusRequest.getDefaultInstance()), List.of())
        .orTimeout(within.toMillis(), MILLISECONDS);
  }

  private static VmmResponse requireIdle(VmmResponse response) {
    if (response.getStatus().getState() != VmmState.VMM_IDLE) {
      throw new IllegalStateException(
          "a new VMM is not idle: " + response.getStatus().getState().name());
    }
    return response;
  }

  StateDirectory state() {
    return state;
  }

  VmmProgram program() {
    return program;
  }

  String bootId() {
    return bootId;
  }

  /** Keeps the VMMs' own logs from growing without end. To be called now and then. */
  public void capLogs() {
    for (String id : state.vmmIds()) {
      try {
        new VmmDirectory(state.vmm(id)).capLog();
      } catch (NoSuchFileException goneMeanwhile) {
        // Nothing to cap.
      } catch (IOException e) {
        LOG.log(Level.WARNING, "cannot cap the log of VMM {0}: {1}", id, e);
      }
    }
  }

  void remove(VmmDirectory directory) {
    remove(directory, groups);
  }

  /** What an ended process leaves: the group first, since a directory tells of it. */
  static void remove(VmmDirectory directory, VmmGroups groups) {
    groups.remove(directory.id());
    try {
      directory.remove();
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot remove {0}: {1}", directory.path(), e);
    }
  }

  /** Removes the groups that a worker which was killed has left without a VMM. */
  public void sweepGroups() {
    groups.sweep(state.vmmIds());
  }

  /** Ends the VMMs that are still starting, and lets go of the others, which go on. */
  @Override
  public void close() {
    RemoveWhenEnded.endAll(starting);
    loop.close();
    watched.forEach(VmmProcess::detach);
  }
}
