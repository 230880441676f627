package dev.vireo.controller.api;

import dev.vireo.controller.grpc.PacedStream;
import dev.vireo.controller.lifecycle.Steering;
import dev.vireo.controller.microvm.ChangeFeed;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.Selection;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.quota.Quotas;
import dev.vireo.controller.reconcile.PendingMicroVms;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.Tunnels;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExplainPlacementRequest;
import dev.vireo.proto.v1.ExplainPlacementResponse;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmResponse;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import dev.vireo.proto.v1.ResizeMemoryRequest;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.v1.TraceMicroVmRequest;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.quarkus.grpc.GrpcService;
import io.smallrye.common.annotation.RunOnVirtualThread;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** {@code vireo.v1.MicroVmService}: from gRPC to the classes beside it, and back. */
@GrpcService
public class MicroVmGrpcService extends MicroVmServiceGrpc.MicroVmServiceImplBase {
  /** Changes that may wait for a slow client before it is cut off. */
  static final int WATCH_CAPACITY = 1_024;

  private static final Duration BOOKMARK_PERIOD = Duration.ofSeconds(10);

  /** How long a watch waits for an image that is older than the client. */
  private static final Duration CATCH_UP = Duration.ofSeconds(2);

  private final MicroVms microVms;
  private final Creations creations;
  private final Operations operations;
  private final Consoles consoles;
  private final AgentCalls agents;
  private final Counter watchEvents;
  private final Counter watchesCutOff;

  public MicroVmGrpcService(
      MicroVms microVms,
      Nodes nodes,
      Sessions sessions,
      Tunnels tunnels,
      Placer placer,
      PendingMicroVms pending,
      Quotas quotas,
      PageTokens pageTokens,
      TimeSource time,
      Supplier<UUID> uuids,
      MeterRegistry meters,
      CreateTraces traces) {
    this.microVms = microVms;
    this.creations = new Creations(microVms, nodes, pending, quotas, time, uuids, meters, traces);
    this.operations = new Operations(microVms, pending, placer, pageTokens, time);
    this.consoles = new Consoles(microVms, nodes, sessions);
    this.agents = new AgentCalls(operations::get, new Waiting(microVms), sessions, tunnels, time);
    Gauge.builder("vireo.watch.clients", microVms, MicroVms::feeds)
        .description("Clients that watch")
        .register(meters);
    this.watchEvents =
        Counter.builder("vireo.watch.events")
            .description("Events sent to clients that watch")
            .register(meters);
    this.watchesCutOff =
        Counter.builder("vireo.watch.cut.off")
            .description("Watches that were ended because their client was too slow")
            .register(meters);
  }

  @Override
  @RunOnVirtualThread
  public void createMicroVm(CreateMicroVmRequest request, StreamObserver<MicroVm> client) {
    answer(client, creations.create(request));
  }

  @Override
  @RunOnVirtualThread
  public void getMicroVm(GetMicroVmRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.get(request.getName()).microVm());
  }

  @Override
  @RunOnVirtualThread
  public void listMicroVms(
      ListMicroVmsRequest request, StreamObserver<ListMicroVmsResponse> client) {
    answer(client, operations.list(request));
  }

  @Override
  @RunOnVirtualThread
  public void watchMicroVms(
      WatchMicroVmsRequest request, StreamObserver<WatchMicroVmsResponse> client) {
    Selection selection = Creations.selection(request.getParent(), request.getLabelSelector());
    if (request.getResourceVersion() < 0) {
      throw Violations.invalidField("resource_version", "is negative.");
    }
    awaitImage(request.getResourceVersion());
    ChangeFeed feed = microVms.feed(selection, request.getResourceVersion(), WATCH_CAPACITY);
    PacedStream<WatchMicroVmsResponse> paced =
        new PacedStream<>((ServerCallStreamObserver<WatchMicroVmsResponse>) client);
    Thread sender =
        Thread.ofVirtual()
            .name("watch")
            .start(new WatchStream(feed, paced, BOOKMARK_PERIOD, watchEvents, watchesCutOff));
    paced.onGone(sender::interrupt);
  }

  /** Another controller may have given the client a version that this one will come to. */
  private void awaitImage(long version) {
    microVms
        .reached(version)
        .completeOnTimeout(null, CATCH_UP.toMillis(), TimeUnit.MILLISECONDS)
        .join();
  }

  @Override
  @RunOnVirtualThread
  public void deleteMicroVm(DeleteMicroVmRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.delete(request));
  }

  @Override
  @RunOnVirtualThread
  public void stopMicroVm(SteerMicroVmRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.steer(Steering.STOP, request));
  }

  @Override
  @RunOnVirtualThread
  public void startMicroVm(SteerMicroVmRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.steer(Steering.START, request));
  }

  @Override
  @RunOnVirtualThread
  public void pauseMicroVm(SteerMicroVmRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.steer(Steering.PAUSE, request));
  }

  @Override
  @RunOnVirtualThread
  public void resumeMicroVm(SteerMicroVmRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.steer(Steering.RESUME, request));
  }

  @Override
  @RunOnVirtualThread
  public void resizeMemory(ResizeMemoryRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.resizeMemory(request));
  }

  @Override
  @RunOnVirtualThread
  public void resizeConsole(ResizeConsoleRequest request, StreamObserver<MicroVm> client) {
    answer(client, operations.resizeConsole(request));
  }

  @Override
  @RunOnVirtualThread
  public void streamLogs(StreamLogsRequest request, StreamObserver<StreamLogsResponse> client) {
    consoles.stream(
        operations.get(request.getName()),
        request,
        (ServerCallStreamObserver<StreamLogsResponse>) client);
  }

  @Override
  @RunOnVirtualThread
  public void inspectMicroVm(
      InspectMicroVmRequest request, StreamObserver<InspectMicroVmResponse> client) {
    StoredMicroVm microVm = operations.get(request.getName());
    answer(
        client,
        InspectMicroVmResponse.newBuilder()
            .setMicrovm(microVm.microVm())
            .setInspection(consoles.inspect(microVm))
            .build());
  }

  @Override
  @RunOnVirtualThread
  public void traceMicroVm(
      TraceMicroVmRequest request, StreamObserver<TraceMicroVmResponse> client) {
    consoles.trace(
        operations.get(request.getName()),
        request.getFilter(),
        (ServerCallStreamObserver<TraceMicroVmResponse>) client);
  }

  @Override
  @RunOnVirtualThread
  public void explainPlacement(
      ExplainPlacementRequest request, StreamObserver<ExplainPlacementResponse> client) {
    answer(client, operations.explain(request.getName()));
  }

  @Override
  @RunOnVirtualThread
  public StreamObserver<ExecRequest> exec(StreamObserver<ExecResponse> client) {
    return agents.exec(client);
  }

  @Override
  @RunOnVirtualThread
  public StreamObserver<CopyInRequest> copyIn(StreamObserver<CopyInResponse> client) {
    return agents.copyIn(client);
  }

  @Override
  @RunOnVirtualThread
  public void copyOut(CopyOutRequest request, StreamObserver<CopyOutResponse> client) {
    agents.copyOut(request, client);
  }

  @Override
  @RunOnVirtualThread
  public StreamObserver<PortForwardRequest> portForward(
      StreamObserver<PortForwardResponse> client) {
    return agents.portForward(client);
  }

  @Override
  @RunOnVirtualThread
  public StreamObserver<InvokeRequest> invoke(StreamObserver<InvokeResponse> client) {
    return agents.invoke(client);
  }

  @Override
  @RunOnVirtualThread
  public StreamObserver<AttachRequest> attach(StreamObserver<AttachResponse> client) {
    return agents.attach(client);
  }

  private static <T> void answer(StreamObserver<T> client, T answer) {
    client.onNext(answer);
    client.onCompleted();
  }
}
