package dev.vireo.controller.api;

import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.Tunnel;
import dev.vireo.controller.session.TunnelCodec;
import dev.vireo.controller.session.TunnelKind;
import dev.vireo.controller.session.Tunnels;
import dev.vireo.controller.session.WorkerSession;
import dev.vireo.proto.v1.ContainerImageServiceGrpc;
import dev.vireo.proto.v1.DeleteContainerImageRequest;
import dev.vireo.proto.v1.DeleteContainerImageResponse;
import dev.vireo.proto.v1.ListContainerImagesRequest;
import dev.vireo.proto.v1.ListContainerImagesResponse;
import dev.vireo.proto.v1.LoadContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageResponse;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * {@code vireo.v1.ContainerImageService}: calls that a node itself answers, over a tunnel to its
 * worker. Nothing of them is kept here.
 */
@GrpcService
public class ContainerImageGrpcService
    extends ContainerImageServiceGrpc.ContainerImageServiceImplBase {
  private static final TunnelCodec<LoadContainerImageRequest, LoadContainerImageResponse> LOAD =
      new TunnelCodec<>(
          TunnelKind.LOAD_IMAGE,
          request -> TunnelDown.newBuilder().setLoadImage(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasLoadImage).map(TunnelUp::getLoadImage));

  private static final TunnelCodec<ListContainerImagesRequest, ListContainerImagesResponse> LIST =
      new TunnelCodec<>(
          TunnelKind.LIST_IMAGES,
          request -> TunnelDown.newBuilder().setListImages(request).build(),
          up -> Optional.of(up).filter(TunnelUp::hasListImages).map(TunnelUp::getListImages));

  private static final TunnelCodec<DeleteContainerImageRequest, DeleteContainerImageResponse>
      DELETE =
          new TunnelCodec<>(
              TunnelKind.DELETE_IMAGE,
              request -> TunnelDown.newBuilder().setDeleteImage(request).build(),
              up -> Optional.of(up).filter(TunnelUp::hasDeleteImage).map(TunnelUp::getDeleteImage));

  private final Nodes nodes;
  private final Sessions sessions;
  private final Tunnels tunnels;

  public ContainerImageGrpcService(Nodes nodes, Sessions sessions, Tunnels tunnels) {
    this.nodes = nodes;
    this.sessions = sessions;
    this.tunnels = tunnels;
  }

  @Override
  public StreamObserver<LoadContainerImageRequest> loadContainerImage(
      StreamObserver<LoadContainerImageResponse> client) {
    return call(
        LOAD,
        client,
        ContainerImageValidator::load,
        "start.node",
        request -> request.getStart().getNode());
  }

  @Override
  public void listContainerImages(
      ListContainerImagesRequest request, StreamObserver<ListContainerImagesResponse> client) {
    only(
        request,
        call(
            LIST, client, (_, _) -> new Violations(), "node", ListContainerImagesRequest::getNode));
  }

  @Override
  public void deleteContainerImage(
      DeleteContainerImageRequest request, StreamObserver<DeleteContainerImageResponse> client) {
    only(
        request,
        call(
            DELETE,
            client,
            (sent, _) -> ContainerImageValidator.delete(sent),
            "node",
            DeleteContainerImageRequest::getNode));
  }

  private static <Q> void only(Q request, StreamObserver<Q> requests) {
    requests.onNext(request);
    requests.onCompleted();
  }

  private <Q, R> StreamObserver<Q> call(
      TunnelCodec<Q, R> codec,
      StreamObserver<R> client,
      BiFunction<Q, Boolean, Violations> check,
      String nodeField,
      Function<Q, String> node) {
    return new AgentCall<>(
        tunnels.of(codec, (ServerCallStreamObserver<R>) client),
        check,
        (tunnel, first) -> open(tunnel, nodeField, node.apply(first), first));
  }

  private <Q> void open(Tunnel<Q, ?> tunnel, String field, String node, Q first) {
    tunnel.open(session(NodeGrpcService.id(field, node)), Tunnel.NODE_ITSELF);
    tunnel.fromClient(first);
  }

  private WorkerSession session(String nodeId) {
    if (nodes.find(nodeId).isEmpty()) {
      throw NodeGrpcService.notFound(nodeId);
    }
    return sessions.get(nodeId);
  }
}
