package dev.vireo.controller.api;

import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.node.StoredNode;
import dev.vireo.controller.placement.Placer;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.FenceNodeRequest;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.ListNodesResponse;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.UpdateNodeRequest;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import io.smallrye.common.annotation.RunOnVirtualThread;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jboss.logging.Logger;

/** {@code vireo.v1.NodeService}. */
@GrpcService
public class NodeGrpcService extends NodeServiceGrpc.NodeServiceImplBase {
  private static final Logger LOG = Logger.getLogger(NodeGrpcService.class);
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
    String id = id("name", request.getName());
    answer(client, placer.view(nodes.find(id).orElseThrow(() -> notFound(id))));
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
    // A page of 1,000 nodes with what is in their caches would be more than clients take.
    page.stream()
        .limit(size)
        .forEach(node ->
            response
                .addNodesBuilder()
                .mergeFrom(placer.view(node))
                .getStatusBuilder()
                .clearContainerImages());
    if (page.size() > size) {
      response.setNextPageToken(
          pageTokens.encode(LIST, new PageTokens.Position(page.get(size - 1).id(), 0)));
    }
    answer(client, response.build());
  }

  @Override
  @RunOnVirtualThread
  public void updateNode(UpdateNodeRequest request, StreamObserver<Node> client) {
    String id = id("node.meta.name", request.getNode().getMeta().getName());
    NodeChange change = NodeChange.of(request);
    StoredNode updated =
        nodes
            .updateSpec(
                id,
                node -> {
                  checkEtag(node, request.getEtag());
                  return change.applyTo(node.node().getSpec());
                })
            .orElseThrow(() -> notFound(id));
    LOG.infof("updated node=%s generation=%d", id, updated.node().getMeta().getGeneration());
    answer(client, placer.view(updated));
  }

  @Override
  @RunOnVirtualThread
  public void fenceNode(FenceNodeRequest request, StreamObserver<Node> client) {
    String id = id("name", request.getName());
    if (nodes.find(id).isEmpty()) {
      throw notFound(id);
    }
    StoredNode fenced =
        nodes
            .fence(id, node -> checkEtag(node, request.getEtag()))
            .orElseThrow(() ->
                Errors.of(
                    ErrorReason.NODE_NOT_LOST,
                    "nodes/%s is %s".formatted(id, nodes.health(id)),
                    Map.of("name", NAME_PREFIX + id)));
    LOG.warnf("fencing node=%s", id);
    answer(client, placer.view(fenced));
  }

  static String id(String field, String name) {
    if (!name.startsWith(NAME_PREFIX)) {
      throw Violations.invalidField(field, "must be nodes/{id}.");
    }
    return name.substring(NAME_PREFIX.length());
  }

  private static void checkEtag(StoredNode node, String etag) {
    Operations.checkEtag(NAME_PREFIX + node.id(), node.etag(), etag);
  }

  static StatusRuntimeException notFound(String id) {
    String name = NAME_PREFIX + id;
    return Errors.of(
        ErrorReason.NODE_NOT_FOUND, "%s does not exist".formatted(name), Map.of("name", name));
  }

  private static <T> void answer(StreamObserver<T> client, T answer) {
    client.onNext(answer);
    client.onCompleted();
  }
}
