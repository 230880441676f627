package dev.vireo.controller.session;

import dev.vireo.controller.grpc.PacedStream;
import dev.vireo.controller.leader.Leadership;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import io.smallrye.common.annotation.RunOnVirtualThread;

/** Where workers dial in. */
@GrpcService
public class WorkerGrpcService extends WorkerServiceGrpc.WorkerServiceImplBase {
  private final MicroVms microVms;
  private final Nodes nodes;
  private final Sessions sessions;
  private final Tunnels tunnels;
  private final NodeEvents events;
  private final Leadership leadership;
  private final CreateTraces traces;

  public WorkerGrpcService(
      MicroVms microVms,
      Nodes nodes,
      Sessions sessions,
      Tunnels tunnels,
      NodeEvents events,
      Leadership leadership,
      CreateTraces traces) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.sessions = sessions;
    this.tunnels = tunnels;
    this.events = events;
    this.leadership = leadership;
    this.traces = traces;
    leadership.listen(
        new Leadership.Listener() {
          @Override
          public void elected() {
            nodes.beginTerm();
          }

          @Override
          public void deposed() {
            sessions.endAll();
          }
        });
  }

  @Override
  public StreamObserver<WorkerMessage> session(StreamObserver<ControllerMessage> toWorker) {
    PacedStream<ControllerMessage> out =
        new PacedStream<>((ServerCallStreamObserver<ControllerMessage>) toWorker);
    return new WorkerSession(microVms, nodes, sessions, events, leadership, traces, out);
  }

  @Override
  @RunOnVirtualThread
  public StreamObserver<TunnelUp> tunnel(StreamObserver<TunnelDown> toWorker) {
    return new TunnelCall(tunnels, (ServerCallStreamObserver<TunnelDown>) toWorker);
  }
}
