package dev.vireo.controller.api;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.TunnelCodec;
import dev.vireo.controller.session.TunnelKind;
import dev.vireo.controller.session.Tunnels;
import dev.vireo.controller.session.WorkerSession;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;
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

  private final Function<String, StoredMicroVm> microVms;
  private final Sessions sessions;
  private final Tunnels tunnels;

  /**
   * @param microVms finds one by its name, or throws
   */
  AgentCalls(Function<String, StoredMicroVm> microVms, Sessions sessions, Tunnels tunnels) {
    this.microVms = microVms;
    this.sessions = sessions;
    this.tunnels = tunnels;
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

  private <Q, R> StreamObserver<Q> call(
      TunnelCodec<Q, R> codec,
      StreamObserver<R> client,
      BiFunction<Q, Boolean, Violations> check,
      Function<Q, String> name) {
    return new AgentCall<>(
        tunnels.of(codec, (ServerCallStreamObserver<R>) client),
        check,
        (tunnel, first) -> {
          StoredMicroVm microVm = microVms.apply(name.apply(first));
          tunnel.open(session(microVm), microVm.uid());
        });
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
    return sessions
        .find(nodeId)
        .orElseThrow(() -> Consoles.unreachable(nodeId, "has no session with the controller"));
  }

  private static StatusRuntimeException refused(
      ErrorReason reason, StoredMicroVm microVm, String what) {
    return Errors.of(reason, microVm.name() + " " + what, Map.of("name", microVm.name()));
  }
}
