package dev.vireo.controller.api;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.session.LogRelay;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.TraceRelay;
import dev.vireo.controller.session.WorkerSession;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.worker.v1.InspectResult;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * What only the node knows: a microVM's console and output, its VMM's view of itself, and what that
 * does.
 */
final class Consoles {
  /** A worker gives its VMM 15 s. */
  private static final Duration INSPECT_PATIENCE = Duration.ofSeconds(20);

  private final MicroVms microVms;
  private final Nodes nodes;
  private final Sessions sessions;

  Consoles(MicroVms microVms, Nodes nodes, Sessions sessions) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.sessions = sessions;
  }

  /** Relays a log until its end. A followed one survives its worker's absence of a lease. */
  void stream(
      StoredMicroVm microVm,
      StreamLogsRequest request,
      ServerCallStreamObserver<StreamLogsResponse> client) {
    if (request.getOffset() < 0) {
      throw Violations.invalidField("offset", "is beyond any log's end.");
    }
    LogSource source = source(microVm, request);
    String nodeId = nodeId(microVm);
    WorkerSession session = sessions.get(nodeId);
    String uid = microVm.uid();
    LogRelay[] relay = new LogRelay[1];
    relay[0] =
        new LogRelay(
            client,
            uid,
            source,
            request.getFollow(),
            request.getOffset(),
            () -> resume(nodeId, uid, relay[0]));
    relay[0].readFrom(session);
  }

  private static LogSource source(StoredMicroVm microVm, StreamLogsRequest request) {
    boolean container = microVm.microVm().getSpec().hasContainer();
    return switch (request.getSource()) {
      case LOG_SOURCE_UNSPECIFIED ->
          container ? LogSource.LOG_SOURCE_OUTPUT : LogSource.LOG_SOURCE_CONSOLE;
      case LOG_SOURCE_CONSOLE -> LogSource.LOG_SOURCE_CONSOLE;
      case LOG_SOURCE_OUTPUT -> {
        if (!container) {
          throw Violations.invalidField(
              "source", "is OUTPUT, which only a microVM with a container has.");
        }
        yield LogSource.LOG_SOURCE_OUTPUT;
      }
      case UNRECOGNIZED -> throw Violations.invalidField("source", "is none of CONSOLE, OUTPUT.");
    };
  }

  private void resume(String nodeId, String uid, LogRelay relay) {
    // Nobody waits for this: each of its ends tells the client.
    CompletableFuture<WorkerSession> _ =
        sessions
            .await(nodeId, nodes.lease())
            .whenComplete((session, absent) -> {
              if (microVms.findByUid(uid).isEmpty()) {
                relay.complete();
              } else if (absent != null) {
                relay.fail(Sessions.unreachable(nodeId, "has gone"));
              } else {
                relay.readFrom(session);
              }
            });
  }

  /** Asks the VMM. Blocks until it has answered. */
  Inspection inspect(StoredMicroVm microVm) {
    String nodeId = nodeId(microVm);
    try {
      InspectResult result =
          sessions
              .get(nodeId)
              .inspect(microVm.uid())
              .get(patience().toNanos(), TimeUnit.NANOSECONDS);
      if (result.getError().isEmpty()) {
        return result.getInspection();
      }
      throw Errors.of(
          result.getReason().isEmpty()
              ? ErrorReason.STATE_CONFLICT
              : Lifecycle.errorReason(result.getReason()),
          result.getError(),
          Map.of("name", microVm.name()));
    } catch (TimeoutException e) {
      throw Sessions.unreachable(nodeId, "did not answer in time");
    } catch (ExecutionException e) {
      throw e.getCause() instanceof StatusRuntimeException typed
          ? typed
          : Sessions.unreachable(nodeId, "did not answer");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException();
    }
  }

  /** Relays what the VMM does, until it ends, the client goes, or the worker does. */
  void trace(
      StoredMicroVm microVm,
      TraceFilter filter,
      ServerCallStreamObserver<TraceMicroVmResponse> client) {
    TraceFilterValidator.validate(filter);
    new TraceRelay(client, microVm.uid(), filter).readFrom(sessions.get(nodeId(microVm)));
  }

  private static Duration patience() {
    Deadline deadline = Context.current().getDeadline();
    Duration left =
        deadline == null
            ? INSPECT_PATIENCE
            : Duration.ofNanos(deadline.timeRemaining(TimeUnit.NANOSECONDS) * 9 / 10);
    return left.compareTo(INSPECT_PATIENCE) < 0 ? left : INSPECT_PATIENCE;
  }

  static String nodeId(StoredMicroVm microVm) {
    return Lifecycle.nodeId(microVm.microVm())
        .orElseThrow(() ->
            Errors.of(
                ErrorReason.NOT_ON_A_NODE,
                "%s is %s and on no node"
                    .formatted(microVm.name(), microVm.microVm().getStatus().getState()),
                Map.of("name", microVm.name())));
  }
}
