package dev.vireo.controller.api;

import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.controller.placement.Placer;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.ListNodesResponse;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import io.smallrye.common.annotation.RunOnVirtualThread;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** {@code vireo.v1.NodeService}. */
@GrpcService
public class NodeGrpcService extends NodeServiceGrpc.NodeServiceImplBase {
  private static final String NAME_PREFIX = "nodes/";
  private static final String LIST = "nodes";

  private final Nodes nodes;
  private final Placer placer;
  private final PageTokens pageTokens;

  public NodeGrpcService(Nodes nodes, Placer placer, PageTokens pageTokens) {
    this.nodes = nodes;
    this.placer = placer;
    this.pageTokens = pageTokens;
  }

  @Override
  @RunOnVirtualThread
  public void getNode(GetNodeRequest request, StreamObserver<Node> client) {
    String name = request.getName();
    if (!name.startsWith(NAME_PREFIX)) {
      throw Violations.invalidField("name", "must be nodes/{id}.");
    }
    StoredNode node =
        nodes
            .find(name.substring(NAME_PREFIX.length()))
            .orElseThrow(() ->
                Errors.of(
                    ErrorReason.NODE_NOT_FOUND,
                    "%s does not exist".formatted(name),
                    Map.of("name", name)));
    client.onNext(placer.view(node));
    client.onCompleted();
  }

  @Override
  @RunOnVirtualThread
  public void listNodes(ListNodesRequest request, StreamObserver<ListNodesResponse> client) {
    int size = Operations.pageSize(request.getPageSize());
    Optional<PageTokens.Position> position = pageTokens.decode(LIST, request.getPageToken());
    List<StoredNode> page =
        nodes.after(position.map(PageTokens.Position::after).orElse("")).stream()
            .limit(size + 1L)
            .toList();
    ListNodesResponse.Builder response = ListNodesResponse.newBuilder();
    page.stream().limit(size).forEach(node -> response.addNodes(placer.view(node)));
    if (page.size() > size) {
      response.setNextPageToken(
          pageTokens.encode(LIST, new PageTokens.Position(page.get(size - 1).id(), 0)));
    }
    client.onNext(response.build());
    client.onCompleted();
  }
}
