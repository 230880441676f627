package dev.vireo.worker.agent;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.worker.time.Time;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/** The calls to the agents of this node's guests, as many as there may be. Thread-safe. */
public final class AgentCalls {
  private static final System.Logger LOG = System.getLogger("agent");

  /** Each may hold what the transport has room for (ControllerChannel), and a message or two. */
  static final int MOST = 2_048;

  static final int MOST_OF_ONE = 512;

  private final Function<String, Optional<MicroVmReport>> microVms;
  private final Activity activity;
  private final ContainerProcesses processes;
  private final Time time;
  private final Set<Tunnel> open = new HashSet<>();
  private final Map<String, Integer> byMicroVm = new HashMap<>();

  /**
   * @param microVms the last word about the one of this uid, if it is here
   * @param processes that can be attached to
   * @param activity is told of each call
   */
  public AgentCalls(
      Function<String, Optional<MicroVmReport>> microVms,
      ContainerProcesses processes,
      Activity activity,
      Time time) {
    this.microVms = microVms;
    this.activity = activity;
    this.processes = processes;
    this.time = time;
  }

  /**
   * Serves a tunnel until its end. Returns at once.
   *
   * @param uid of the microVM
   */
  public void serve(String uid, Tunnel tunnel) {
    Thread.ofVirtual().name("agent-" + uid).start(() -> run(uid, tunnel));
  }

  /** Ends all of them: their session is gone. */
  public void endAll() {
    List<Tunnel> all;
    synchronized (this) {
      all = List.copyOf(open);
    }
    all.forEach(Tunnel::cancel);
  }

  /** How many there are. */
  synchronized int count() {
    return open.size();
  }

  private void run(String uid, Tunnel tunnel) {
    try {
      enter(uid, tunnel);
      try {
        converse(uid, tunnel);
      } finally {
        leave(uid, tunnel);
      }
    } catch (AgentException e) {
      LOG.log(Level.DEBUG, "{0}: {1}: {2}", uid, e.reason(), e.getMessage());
      tunnel.fail(e.toFailure());
    } catch (Tunnel.GoneException e) {
      LOG.log(Level.DEBUG, "{0}: a client has gone", uid);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      tunnel.cancel();
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "a call to an agent failed", e);
      tunnel.cancel();
    }
  }

  private synchronized void enter(String uid, Tunnel tunnel) throws AgentException {
    int ofThisOne = byMicroVm.getOrDefault(uid, 0);
    if (open.size() >= MOST || ofThisOne >= MOST_OF_ONE) {
      throw new AgentException(
          ErrorReason.TUNNELS_EXHAUSTED,
          "",
          "%d calls to its agent are under way, and %d on its node; at most %d, and %d"
              .formatted(ofThisOne, open.size(), MOST_OF_ONE, MOST));
    }
    open.add(tunnel);
    byMicroVm.merge(uid, 1, Integer::sum);
  }

  private synchronized void leave(String uid, Tunnel tunnel) {
    open.remove(tunnel);
    byMicroVm.computeIfPresent(uid, (_, count) -> count == 1 ? null : count - 1);
  }

  private void converse(String uid, Tunnel tunnel)
      throws AgentException, Tunnel.GoneException, InterruptedException {
    Path socket = socket(uid);
    activity.began(uid);
    try {
      converse(socket, tunnel);
    } finally {
      activity.ended(uid);
    }
  }

  private void converse(Path socket, Tunnel tunnel)
      throws AgentException, Tunnel.GoneException, InterruptedException {
    TunnelDown first = tunnel.receive().orElse(TunnelDown.getDefaultInstance());
    if (first.hasAttach()) {
      process(socket).attach(tunnel, first.getAttach().getStart()).run();
    } else {
      new AgentCall(tunnel, Conversation.of(first), time).run(socket);
    }
  }

  private ContainerSupervisor process(Path socket) throws AgentException {
    return processes
        .find(socket)
        .orElseThrow(() ->
            new AgentException(
                ErrorReason.STATE_CONFLICT, "", "no container's process runs: it has ended"));
  }

  private Path socket(String uid) throws AgentException {
    Optional<MicroVmReport> report = microVms.apply(uid);
    if (report.isEmpty()) {
      throw new AgentException(
          ErrorReason.MICROVM_NOT_FOUND, "", "no microVM " + uid + " is on this node");
    }
    if (report.get().getState() != MicroVmState.RUNNING) {
      throw new AgentException(
          ErrorReason.STATE_CONFLICT,
          "",
          "the microVM is %s on its node, not RUNNING".formatted(report.get().getState()));
    }
    if (!report.get().hasVsock()) {
      throw new AgentException(
          ErrorReason.AGENT_UNAVAILABLE, "", "the microVM has no vsock device");
    }
    return Path.of(report.get().getVsock().getSocket());
  }
}
