package dev.vireo.worker.vmm;

import dev.vireo.linux.Fd;
import dev.vireo.linux.ProcessHandleFd.Exit;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VsockDial;
import dev.vireo.worker.cgroup.Limits;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/** A VMM of which a test writes the behaviour. It remembers what it was asked. */
public final class FakeVmm implements Vmm {
  private static int lastPid = 1000;

  private final int pid = ++lastPid;
  private final List<VmmRequest> requests = new ArrayList<>();
  private final Map<VmmRequest.RequestCase, CompletableFuture<VmmResponse>> open =
      new LinkedHashMap<>();
  private @Nullable VmmListener listener;
  private VmmStatus status = VmmStatus.newBuilder().setState(VmmState.VMM_IDLE).build();
  private boolean killed;
  private boolean removed;
  private Runnable whenRemoved = () -> {};
  private Runnable beforeListener = () -> {};
  private boolean dead;
  private String assignedTo = "";
  private int lastDescriptors;

  @Override
  public String id() {
    return "vmm-" + pid;
  }

  @Override
  public int pid() {
    return pid;
  }

  @Override
  public void listen(VmmListener next) {
    Runnable before = beforeListener;
    beforeListener = () -> {};
    before.run();
    listener = next;
  }

  @Override
  public Fd assign(String microVmUid, long attempt) {
    assignedTo = microVmUid + "/" + attempt;
    return Fd.open("/dev/null", Fd.O_RDWR);
  }

  @Override
  public void limit(Limits limits) {
    // Nothing here costs anything.
  }

  @Override
  public CompletableFuture<VmmResponse> request(VmmRequest.Builder request, List<Fd> descriptors) {
    requests.add(request.build());
    lastDescriptors = descriptors.size();
    CompletableFuture<VmmResponse> answer = new CompletableFuture<>();
    open.put(request.getRequestCase(), answer);
    return answer;
  }

  @Override
  public void kill() {
    killed = true;
  }

  @Override
  public void remove() {
    removed = true;
    whenRemoved.run();
  }

  /** Has this run when what it leaves on disk is removed. */
  public void whenRemoved(Runnable task) {
    whenRemoved = task;
  }

  /** Has this run when it gets its next listener, just before it has it. */
  public void beforeListener(Runnable task) {
    beforeListener = task;
  }

  /** All that it was asked, in order. */
  public List<VmmRequest> requests() {
    return List.copyOf(requests);
  }

  /** Answers the open request of this kind with its present status. */
  public void answer(VmmRequest.RequestCase request) {
    answer(request, VmmResponse.newBuilder().setStatus(status).build());
  }

  /** Answers the open request of this kind. */
  public void answer(VmmRequest.RequestCase request, VmmResponse response) {
    CompletableFuture<VmmResponse> answer = open.remove(request);
    if (answer == null) {
      throw new AssertionError("was not asked to " + request + " but " + open.keySet());
    }
    answer.complete(response);
  }

  /** Changes its state and says so. */
  public void becomes(VmmState state) {
    becomes(status.toBuilder().setState(state).build());
  }

  /** Changes its status and says so. */
  public void becomes(VmmStatus next) {
    status = next;
    if (listener != null) {
      listener.onStatus(next);
    }
  }

  /** Says that its guest wants to connect to a port. */
  public void dials(int key, int port) {
    if (listener != null) {
      listener.onDial(VsockDial.newBuilder().setKey(key).setPort(port).build());
    }
  }

  /** Says that its VM has ended. */
  public void ends(EndCause cause, String message) {
    becomes(
        status.toBuilder()
            .setState(VmmState.VMM_ENDED)
            .setEndCause(cause)
            .setEndMessage(message)
            .build());
  }

  /** Its process ends: in good order if its VM did, else by SIGKILL. */
  public void dies() {
    dead = true;
    for (CompletableFuture<VmmResponse> answer : List.copyOf(open.values())) {
      answer.completeExceptionally(new VmmGoneException("its VMM died"));
    }
    boolean ended = status.getState() == VmmState.VMM_ENDED;
    VmmExit exit =
        new VmmExit(
            ended ? new Exit.Status(0) : new Exit.Signal(9),
            ended ? Optional.of(status) : Optional.empty(),
            "");
    if (listener != null) {
      listener.onExit(exit);
    }
  }

  /** What it was asked, in order. */
  public List<VmmRequest.RequestCase> asked() {
    return requests.stream().map(VmmRequest::getRequestCase).toList();
  }

  public VmmRequest lastRequest() {
    return requests.getLast();
  }

  /** How many descriptors came with the last request. */
  public int lastDescriptors() {
    return lastDescriptors;
  }

  public boolean isKilled() {
    return killed;
  }

  public boolean isRemoved() {
    return removed;
  }

  public boolean isDead() {
    return dead;
  }

  public String assignedTo() {
    return assignedTo;
  }
}
