package dev.vireo.cli;

import com.google.protobuf.FieldMask;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.UpdateNodeRequest;
import io.grpc.StatusRuntimeException;
import java.util.List;
import java.util.function.Consumer;

/** Changes what is wanted of nodes. */
final class NodeUpdates {
  /** How often a change is computed anew because the node has changed under it. */
  private static final int ATTEMPTS = 5;

  private final Api api;

  NodeUpdates(Api api) {
    this.api = api;
  }

  /** {@code nodes/here} of {@code here}. */
  static String resourceName(String idOrName) {
    return idOrName.contains("/") ? idOrName : "nodes/" + idOrName;
  }

  Node get(String name) {
    return api.nodes().getNode(GetNodeRequest.newBuilder().setName(resourceName(name)).build());
  }

  /**
   * Sets fields, whatever they are.
   *
   * @param paths of the spec, for example "cordoned"
   */
  Node set(String name, List<String> paths, NodeSpec spec) {
    return update(name, paths, spec, "");
  }

  /** Changes a field by what it is, of which nothing that others do meanwhile is lost. */
  Node change(String name, String path, Consumer<NodeSpec.Builder> change) {
    for (int attempt = 1; ; attempt++) {
      Node before = get(name);
      NodeSpec.Builder spec = before.getSpec().toBuilder();
      change.accept(spec);
      try {
        return update(name, List.of(path), spec.build(), before.getMeta().getEtag());
      } catch (StatusRuntimeException e) {
        boolean raced = Errors.reasonOf(e).filter(ErrorReason.ETAG_MISMATCH::equals).isPresent();
        if (!raced || attempt == ATTEMPTS) {
          throw e;
        }
      }
    }
  }

  private Node update(String name, List<String> paths, NodeSpec spec, String etag) {
    Node.Builder node = Node.newBuilder().setSpec(spec);
    node.getMetaBuilder().setName(resourceName(name));
    FieldMask.Builder mask = FieldMask.newBuilder();
    paths.forEach(path -> mask.addPaths("spec." + path));
    return api.nodes()
        .updateNode(
            UpdateNodeRequest.newBuilder().setNode(node).setUpdateMask(mask).setEtag(etag).build());
  }
}
