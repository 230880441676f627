package dev.vireo.controller.node;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.controller.store.Entry;
import dev.vireo.proto.store.v1.NodeRecord;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeResources;
import java.util.HashMap;
import java.util.Map;

/**
 * A node as the store has it.
 *
 * @param version of the commit that wrote it
 * @param createdVersion of the commit that made it
 */
public record StoredNode(NodeRecord record, long version, long createdVersion) {
  static final String NAME_PREFIX = "nodes/";

  static StoredNode of(Entry entry) {
    try {
      return new StoredNode(
          NodeRecord.parseFrom(entry.value()), entry.version(), entry.createdVersion());
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("not a node's record: " + entry.key(), e);
    }
  }

  Entry entry() {
    return new Entry(Nodes.KEY_PREFIX + id(), record.toByteString(), version, createdVersion);
  }

  public String id() {
    return record.getNode().getMeta().getName().substring(NAME_PREFIX.length());
  }

  public String etag() {
    return Long.toHexString(version);
  }

  public Node node() {
    return record.getNode();
  }

  /** The worker's, with the operator's over them: what selectors see. */
  public Map<String, String> labels() {
    Map<String, String> labels = new HashMap<>(node().getMeta().getLabelsMap());
    labels.putAll(node().getSpec().getLabelsMap());
    return Map.copyOf(labels);
  }

  /** What may be promised here in all. */
  public NodeResources promisable() {
    return Overcommit.of(node().getStatus().getCapacity(), labels());
  }

  /** Whether it takes no new microVMs because an operator wants it so. */
  public boolean isClosed() {
    return node().getSpec().getCordoned() || node().getSpec().hasDrain();
  }

  public NodeCapabilities capabilities() {
    return node().getStatus().getCapabilities();
  }
}
