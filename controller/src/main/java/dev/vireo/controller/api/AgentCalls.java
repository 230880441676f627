package dev.vireo.controller.api;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.Tunnel;
import dev.vireo.controller.session.TunnelCodec;
import dev.vireo.controller.session.TunnelKind;
import dev.vireo.controller.session.Tunnels;
import dev.vireo.controller.session.WorkerSession;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.Function;

/** The calls that a guest's agent answers, over a tunnel to the worker of its node. */
final class AgentCalls {
  private static final TunnelCodec<ExecRequest, ExecResponse> EXEC =
      new TunnelCodec<>(
          TunnelKind.EXEC,
          request -> TunnelDown.newBuilder().setExec(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasExec).map(TunnelUp::getExec));

  private static final TunnelCodec<CopyInRequest, CopyInResponse> COPY_IN =
      new TunnelCodec<>(
          TunnelKind.COPY_IN,
          request -> TunnelDown.newBuilder().setCopyIn(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasCopyIn).map(TunnelUp::getCopyIn));

  private static final TunnelCodec<CopyOutRequest, CopyOutResponse> COPY_OUT =
      new TunnelCodec<>(
          TunnelKind.COPY_OUT,
          request -> TunnelDown.newBuilder().setCopyOut(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasCopyOut).map(TunnelUp::getCopyOut));

  private static final TunnelCodec<PortForwardRequest, PortForwardResponse> PORT_FORWARD =
      new TunnelCodec<>(
          TunnelKind.PORT_FORWARD,
          request -> TunnelDown.newBuilder().setPortForward(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasPortForward).map(TunnelUp::getPortForward));

  private static final TunnelCodec<InvokeRequest, InvokeResponse> INVOKE =
      new TunnelCodec<>(
          TunnelKind.INVOKE,
          request -> TunnelDown.newBuilder().setInvoke(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasInvoke).map(TunnelUp::getInvoke));

  private static final TunnelCodec<AttachRequest, AttachResponse> ATTACH =
      new TunnelCodec<>(
          TunnelKind.ATTACH,
          request -> TunnelDown.newBuilder().setAttach(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasAttach).map(TunnelUp::getAttach));

  /** Of an invocation that says nothing of it. */
  private static final Duration USUAL_LIMIT = Duration.ofSeconds(60);

  private final Function<String, StoredMicroVm> microVms;
  private final Waiting waiting;
  private final Sessions sessions;
  private final Tunnels tunnels;
  private final TimeSource time;

  /**
   * @param microVms finds one by its name, or throws
   */
  AgentCalls(
      Function<String, StoredMicroVm> microVms,
      Waiting waiting,
      Sessions sessions,
      Tunnels tunnels,
      TimeSource time) {
    this.microVms = microVms;
    this.waiting = waiting;
    this.sessions = sessions;
    this.tunnels = tunnels;
    this.time = time;
  }

  StreamObserver<ExecRequest> exec(StreamObserver<ExecResponse> client) {
    return call(EXEC, client, AgentValidator::exec, request -> request.getStart().getName());
  }

  StreamObserver<CopyInRequest> copyIn(StreamObserver<CopyInResponse> client) {
    return call(COPY_IN, client, AgentValidator::copyIn, request -> request.getStart().getName());
  }

  /** A call with one request, which is all that the client sends. */
  void copyOut(CopyOutRequest request, StreamObserver<CopyOutResponse> client) {
    StreamObserver<CopyOutRequest> requests =
        call(COPY_OUT, client, (only, _) -> AgentValidator.copyOut(only), CopyOutRequest::getName);
    requests.onNext(request);
    requests.onCompleted();
  }

  StreamObserver<PortForwardRequest> portForward(StreamObserver<PortForwardResponse> client) {
    return call(
        PORT_FORWARD, client, AgentValidator::portForward, request -> request.getStart().getName());
  }

  /** Once the microVM is READY, with what is left of the time by then. */
  StreamObserver<InvokeRequest> invoke(StreamObserver<InvokeResponse> client) {
    return new AgentCall<>(
        tunnels.of(INVOKE, (ServerCallStreamObserver<InvokeResponse>) client),
        InvokeValidator::invoke,
        (tunnel, first) -> {
          StoredMicroVm microVm = microVms.apply(first.getStart().getName());
          int port = port(first.getStart(), microVm.microVm().getSpec());
          Duration limit = limit(first.getStart());
          long end = time.nanoTime() + limit.toNanos();
          whenReached(
              tunnel,
              microVm,
              Wait.WAIT_READY,
              Optional.of(limit),
              ready -> open(tunnel, ready, started(first.getStart(), port, end)));
        });
  }

  private static int port(InvokeStart start, MicroVmSpec spec) {
    int port = start.getPort() == 0 ? spec.getContainer().getHttp().getPort() : start.getPort();
    if (port == 0) {
      throw Violations.invalidField(
          "start.port", "is not set, and neither is spec.container.http of the microVM.");
    }
    return port;
  }

  private static Duration limit(InvokeStart start) {
    return start.hasTimeout()
        ? Duration.ofSeconds(start.getTimeout().getSeconds(), start.getTimeout().getNanos())
        : USUAL_LIMIT;
  }

  private InvokeRequest started(InvokeStart start, int port, long end) {
    Duration left = Duration.ofNanos(Math.max(1, end - time.nanoTime()));
    return InvokeRequest.newBuilder()
        .setStart(
            start.toBuilder()
                .setPort(port)
                .setTimeout(
                    com.google.protobuf.Duration.newBuilder()
                        .setSeconds(left.getSeconds())
                        .setNanos(left.getNano())))
        .build();
  }

  /** Once the guest runs: what its process says to that is the node's to know. */
  StreamObserver<AttachRequest> attach(StreamObserver<AttachResponse> client) {
    return new AgentCall<>(
        tunnels.of(ATTACH, (ServerCallStreamObserver<AttachResponse>) client),
        AgentValidator::attach,
        (tunnel, first) -> {
          StoredMicroVm microVm = microVms.apply(first.getStart().getName());
          if (!microVm.microVm().getSpec().hasContainer()) {
            throw Violations.invalidField(
                "start.name", "is of a microVM without a container; see vireo exec.");
          }
          whenReached(
              tunnel,
              microVm,
              Wait.WAIT_RUNNING,
              Optional.empty(),
              running -> open(tunnel, running, first));
        });
  }

  /** Waits without a thread; ends the call if it cannot come so far, or not in time. */
  private void whenReached(
      Tunnel<?, ?> tunnel,
      StoredMicroVm microVm,
      Wait wait,
      Optional<Duration> patience,
      Consumer<StoredMicroVm> then) {
    CompletableFuture<Optional<StoredMicroVm>> decided = waiting.decided(microVm.uid(), wait);
    tunnel.whenOver(() -> decided.cancel(false));
    patience.ifPresent(limit -> decided.orTimeout(limit.toNanos(), TimeUnit.NANOSECONDS));
    CompletableFuture<?> _ =
        decided.whenComplete((reached, failure) -> {
          try {
            if (failure instanceof TimeoutException) {
              throw waiting.timedOut(microVm, wait);
            } else if (failure instanceof RuntimeException other) {
              throw other;
            }
            var _ = Waiting.answer(reached, microVm, wait);
            then.accept(reached.orElseThrow());
          } catch (RuntimeException e) {
            tunnel.fail(AgentCall.typed(e));
          }
        });
  }

  private <Q, R> StreamObserver<Q> call(
      TunnelCodec<Q, R> codec,
      StreamObserver<R> client,
      BiFunction<Q, Boolean, Violations> check,
      Function<Q, String> name) {
    return new AgentCall<>(
        tunnels.of(codec, (ServerCallStreamObserver<R>) client),
        check,
        (tunnel, first) -> open(tunnel, microVms.apply(name.apply(first)), first));
  }

  private <Q> void open(Tunnel<Q, ?> tunnel, StoredMicroVm microVm, Q first) {
    tunnel.open(session(microVm), microVm.uid());
    tunnel.fromClient(first);
  }

  /** That of the microVM's node, if there is a guest that can have an agent. */
  private WorkerSession session(StoredMicroVm microVm) {
    String nodeId = Consoles.nodeId(microVm);
    MicroVmSpec spec = microVm.microVm().getSpec();
    if (!spec.hasVsock() && !spec.hasContainer()) {
      throw refused(ErrorReason.AGENT_UNAVAILABLE, microVm, "has no vsock device");
    }
    MicroVmState state = microVm.microVm().getStatus().getState();
    if (state != MicroVmState.RUNNING || Lifecycle.isDeleting(microVm.microVm())) {
      throw refused(ErrorReason.STATE_CONFLICT, microVm, "is %s, not RUNNING".formatted(state));
    }
    return sessions.get(nodeId);
  }

  private static StatusRuntimeException refused(
      ErrorReason reason, StoredMicroVm microVm, String what) {
    return Errors.of(reason, microVm.name() + " " + what, Map.of("name", microVm.name()));
  }
}
