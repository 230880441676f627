package dev.vireo.sim.node;

import dev.vireo.linux.Fd;
import dev.vireo.linux.ProcessHandleFd.Exit;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.VmmRecord;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.worker.cgroup.Limits;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmExit;
import dev.vireo.worker.vmm.VmmGoneException;
import dev.vireo.worker.vmm.VmmListener;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * A VMM process that has no VM: it answers as a real one does, late at times, and its guest runs
 * until it is stopped, powers off, or dies. It belongs to the machine, and outlives its worker.
 */
final class SimVmm implements Vmm {
  private static final long ANSWER_NANOS = 3_000_000;
  private static final double SLOW = 0.03;
  private static final long SLOW_NANOS = 5_000_000_000L;
  private static final double GUEST_IGNORES_STOP = 0.1;

  private final SimMachine machine;
  private final Simulation simulation;
  private final RandomGenerator random;
  private final int pid;
  private final Map<Integer, CompletableFuture<VmmResponse>> unanswered = new LinkedHashMap<>();
  private int lastRequest;
  private SimProcess worker;
  private @Nullable VmmListener listener;
  private @Nullable VmmExit exit;
  private VmmStatus status = VmmStatus.newBuilder().setState(VmmState.VMM_IDLE).build();
  private VmmRecord record = VmmRecord.getDefaultInstance();
  private long memoryMib;

  SimVmm(SimMachine machine, SimProcess worker, RandomGenerator random, int pid) {
    this.machine = machine;
    this.simulation = worker.simulation();
    this.worker = worker;
    this.random = random;
    this.pid = pid;
  }

  // ---- what its owner sees

  @Override
  public String id() {
    return machine.name() + "-vmm-" + pid;
  }

  @Override
  public int pid() {
    return pid;
  }

  @Override
  public void listen(VmmListener next) {
    listener = next;
    VmmExit ended = exit;
    if (ended != null) {
      worker.execute(() -> next.onExit(ended));
    }
  }

  @Override
  public Fd assign(String microVmUid, long attempt) {
    record =
        VmmRecord.newBuilder().setPid(pid).setMicrovmUid(microVmUid).setAttempt(attempt).build();
    return Fd.open("/dev/null", Fd.O_RDWR);
  }

  @Override
  public void limit(Limits limits) {
    // Nothing here costs anything.
  }

  @Override
  public CompletableFuture<VmmResponse> request(VmmRequest.Builder request, List<Fd> descriptors) {
    VmmRequest asked = request.build();
    CompletableFuture<VmmResponse> answer = new CompletableFuture<>();
    SimProcess asker = worker;
    if (exit != null) {
      asker.execute(() -> answer.completeExceptionally(gone()));
      return answer;
    }
    int number = ++lastRequest;
    unanswered.put(number, answer);
    after(
        answerTime(),
        () -> {
          VmmResponse response = handle(asked);
          unanswered.remove(number);
          asker.execute(() -> answer.complete(response));
        });
    return answer;
  }

  @Override
  public void kill() {
    after(Duration.ofNanos(random.nextLong(ANSWER_NANOS)), () -> die(new Exit.Signal(9)));
  }

  @Override
  public void remove() {
    machine.remove(this);
  }

  // ---- what the machine sees

  /** A worker that was started anew has found it. */
  void takenBackBy(SimProcess next) {
    worker = next;
    listener = null;
  }

  /** Whether a guest runs in it: what there must not be two of. */
  boolean hasGuest() {
    return exit == null
        && switch (status.getState()) {
          case VMM_RUNNING, VMM_PAUSED, VMM_STOPPING -> true;
          case VMM_IDLE, VMM_STARTING, VMM_ENDED, VMM_STATE_UNSPECIFIED, UNRECOGNIZED -> false;
        };
  }

  boolean isAlive() {
    return exit == null;
  }

  VmmRecord record() {
    return record;
  }

  VmmStatus status() {
    return status;
  }

  Optional<VmmStatus> lastWords() {
    return status.getState() == VmmState.VMM_ENDED ? Optional.of(status) : Optional.empty();
  }

  long memoryMib() {
    return memoryMib;
  }

  /** Its guest powers off. */
  void powerOff() {
    if (hasGuest()) {
      end(EndCause.END_GUEST_POWER_OFF);
    }
  }

  /** The process ends where it is. */
  void die(Exit how) {
    if (exit != null) {
      return;
    }
    machine.say(id() + " of " + record.getMicrovmUid() + " dies: " + how);
    VmmExit ended = new VmmExit(how, lastWords(), "");
    exit = ended;
    machine.changed();
    List<CompletableFuture<VmmResponse>> lost = List.copyOf(unanswered.values());
    unanswered.clear();
    SimProcess owner = worker;
    lost.forEach(answer -> owner.execute(() -> answer.completeExceptionally(gone())));
    VmmListener hears = listener;
    if (hears != null) {
      owner.execute(() -> hears.onExit(ended));
    }
  }

  // ---- the process itself

  private VmmResponse handle(VmmRequest request) {
    return switch (request.getRequestCase()) {
      case CREATE -> create(request);
      case STOP -> {
        stop(Duration.ofMillis(request.getStop().getGraceMs()));
        yield response();
      }
      case PAUSE -> {
        change(VmmState.VMM_RUNNING, VmmState.VMM_PAUSED);
        yield response();
      }
      case RESUME -> {
        change(VmmState.VMM_PAUSED, VmmState.VMM_RUNNING);
        yield response();
      }
      case RELEASE -> {
        after(answerTime(), () -> die(new Exit.Status(0)));
        yield response();
      }
      case STATUS,
          INSPECT,
          RESIZE_MEMORY,
          VSOCK_DIALED,
          RESIZE_CONSOLE,
          BEGIN_TRACE,
          READ_TRACE,
          END_TRACE,
          REQUEST_NOT_SET ->
          response();
    };
  }

  private VmmResponse create(VmmRequest request) {
    if (machine.refusesNextCreate()) {
      return VmmResponse.newBuilder()
          .setErrorReason("VMM_FAILED")
          .setErrorMessage("refused by chance")
          .build();
    }
    memoryMib = request.getCreate().getMemoryBytes() >> 20;
    become(
        status.toBuilder()
            .setState(VmmState.VMM_RUNNING)
            .setPid(pid)
            .setMicrovmUid(request.getCreate().getMicrovmUid())
            .setAttempt(request.getCreate().getAttempt())
            .build());
    machine.say(id() + " runs " + status.getMicrovmUid() + " attempt " + status.getAttempt());
    after(
        answerTime(),
        () -> {
          become(status.toBuilder().setConsoleReady(true).build());
          tell();
        });
    return response();
  }

  private void stop(Duration grace) {
    if (!hasGuest()) {
      return;
    }
    become(status.toBuilder().setState(VmmState.VMM_STOPPING).build());
    long most = Math.max(1, grace.toNanos());
    boolean ignored = random.nextDouble() < GUEST_IGNORES_STOP;
    after(
        Duration.ofNanos(ignored ? most : random.nextLong(most)),
        () -> {
          if (hasGuest()) {
            end(EndCause.END_STOPPED_BY_REQUEST);
          }
        });
  }

  private void change(VmmState from, VmmState to) {
    if (status.getState() == from) {
      become(status.toBuilder().setState(to).build());
    }
  }

  private void end(EndCause cause) {
    become(status.toBuilder().setState(VmmState.VMM_ENDED).setEndCause(cause).build());
    machine.say(id() + " of " + record.getMicrovmUid() + " ends: " + cause.name());
    tell();
  }

  private void become(VmmStatus next) {
    status = next;
    machine.changed();
  }

  private void tell() {
    VmmListener hears = listener;
    VmmStatus now = status;
    if (hears != null) {
      worker.execute(() -> hears.onStatus(now));
    }
  }

  private VmmResponse response() {
    return VmmResponse.newBuilder().setStatus(status).build();
  }

  private Duration answerTime() {
    long most = random.nextDouble() < SLOW ? SLOW_NANOS : ANSWER_NANOS;
    return Duration.ofNanos(random.nextLong(most));
  }

  private void after(Duration wait, Runnable action) {
    var _ =
        simulation.after(
            wait,
            () -> {
              if (exit == null) {
                action.run();
              }
            });
  }

  private VmmGoneException gone() {
    return new VmmGoneException(id() + " is gone");
  }
}
