package dev.vireo.controller.session;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.node.NodeMeters;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.worker.v1.NodeCounter;
import io.grpc.StatusRuntimeException;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/** The sessions that are open, one for each node at most. */
public final class Sessions {
  private final ConcurrentHashMap<String, WorkerSession> byNode = new ConcurrentHashMap<>();
  private final ConcurrentHashMap<String, CompletableFuture<WorkerSession>> awaited =
      new ConcurrentHashMap<>();

  private final NodeMeters nodeMeters;

  public Sessions(MicroVms microVms, MeterRegistry meters) {
    nodeMeters = new NodeMeters(meters);
    Gauge.builder("vireo.sessions", byNode, ConcurrentHashMap::size)
        .description("Workers connected")
        .register(meters);
    microVms.listen(this::onChange);
  }

  /** The node's session, if its worker is connected. */
  public Optional<WorkerSession> find(String nodeId) {
    return Optional.ofNullable(byNode.get(nodeId)).filter(session -> !session.isOver());
  }

  /** The same; NODE_UNREACHABLE if its worker is not connected. */
  public WorkerSession get(String nodeId) {
    return find(nodeId)
        .orElseThrow(() -> unreachable(nodeId, "has no session with the controller"));
  }

  /** What a client is told whose call a node's worker does not serve. */
  public static StatusRuntimeException unreachable(String nodeId, String what) {
    return Errors.of(
        ErrorReason.NODE_UNREACHABLE,
        "the worker of nodes/%s %s".formatted(nodeId, what),
        Map.of("node", nodeId));
  }

  /** The node's next session, or the present one; fails when there is none in time. */
  public CompletableFuture<WorkerSession> await(String nodeId, Duration patience) {
    CompletableFuture<WorkerSession> next =
        awaited.computeIfAbsent(nodeId, _ -> new CompletableFuture<>());
    find(nodeId)
        .ifPresent(present -> {
          // Nobody who comes later may be given this one: it may be over by then.
          awaited.remove(nodeId, next);
          next.complete(present);
        });
    return next.copy().orTimeout(patience.toNanos(), TimeUnit.NANOSECONDS);
  }

  /** Makes this the node's session. An older one is ended: its worker has called again. */
  void open(String nodeId, WorkerSession session) {
    WorkerSession older = byNode.put(nodeId, session);
    if (older != null) {
      older.supersede();
    }
    CompletableFuture<WorkerSession> waiting = awaited.remove(nodeId);
    if (waiting != null) {
      waiting.complete(session);
    }
  }

  /** This controller leads no more: every worker has to go elsewhere. */
  public void endAll() {
    byNode.values().forEach(WorkerSession::endWithTerm);
  }

  void close(String nodeId, WorkerSession session) {
    byNode.remove(nodeId, session);
  }

  /** A worker says what its microVMs have counted. */
  void counted(String nodeId, List<NodeCounter> counters) {
    nodeMeters.hear(nodeId, counters);
  }

  private void onChange(MicroVmChange change) {
    Lifecycle.nodeId(change.microVm().microVm())
        .flatMap(this::find)
        .ifPresent(session -> session.changed(change.microVm().uid()));
  }
}
