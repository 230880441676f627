package dev.vireo.worker.metadata;

import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.Metadata;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.worker.v1.Assignment;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What a guest is told of itself: each path with what is there. Made when its service begins, and
 * the same for as long as that lasts.
 */
final class MetadataPages {
  /** What is at a path. */
  record Page(String contentType, ByteString body) {
    static Page text(String text) {
      return new Page("text/plain; charset=utf-8", ByteString.copyFromUtf8(text));
    }
  }

  private static final String ROOT = "/latest";
  private static final String META_DATA = ROOT + "/meta-data";
  private static final String ATTRIBUTES = "attributes";

  private final Map<String, Page> byPath = new HashMap<>();

  private MetadataPages() {}

  /**
   * Those of a microVM of this node, whose spec has metadata.
   *
   * @param network what the node has given it, if it has a routed one
   */
  static MetadataPages of(Assignment assignment, Optional<NetworkStatus> network, String nodeId) {
    Map<String, JsonPrimitive> identity = identity(assignment, network, nodeId);
    Metadata metadata = assignment.getSpec().getMetadata();
    Map<String, String> attributes = new TreeMap<>(metadata.getAttributesMap());
    ByteString userData = metadata.getUserData();

    MetadataPages pages = new MetadataPages();
    pages.list("", List.of("latest/"));
    pages.list(
        ROOT,
        userData.isEmpty()
            ? List.of("meta-data/", "meta-data.json")
            : List.of("meta-data/", "meta-data.json", "user-data"));
    Map<String, String> names = new TreeMap<>();
    identity.keySet().forEach(name -> names.put(name, name));
    names.put(ATTRIBUTES, ATTRIBUTES + "/");
    pages.list(META_DATA, names.values());
    identity.forEach((name, value) -> pages.text(META_DATA + "/" + name, value.getAsString()));
    pages.list(META_DATA + "/" + ATTRIBUTES, attributes.keySet());
    attributes.forEach(
        (name, value) -> pages.text(META_DATA + "/" + ATTRIBUTES + "/" + name, value));
    pages.byPath.put(META_DATA + ".json", new Page("application/json", json(identity, attributes)));
    if (!userData.isEmpty()) {
      pages.byPath.put(ROOT + "/user-data", new Page("application/octet-stream", userData));
    }
    return pages;
  }

  private static Map<String, JsonPrimitive> identity(
      Assignment assignment, Optional<NetworkStatus> network, String nodeId) {
    MicroVmSpec spec = assignment.getSpec();
    Map<String, JsonPrimitive> identity = new LinkedHashMap<>();
    identity.put("instance-id", new JsonPrimitive(assignment.getUid()));
    identity.put("name", new JsonPrimitive(name(assignment)));
    identity.put("project", new JsonPrimitive(project(assignment)));
    identity.put("node", new JsonPrimitive(nodeId));
    identity.put("vcpus", new JsonPrimitive(spec.getVcpus()));
    identity.put("memory-mib", new JsonPrimitive(spec.getMemoryMib()));
    network.ifPresent(given -> {
      identity.put("local-ipv4", new JsonPrimitive(given.getAddress()));
      identity.put("mac", new JsonPrimitive(given.getMacAddress()));
    });
    return identity;
  }

  private static ByteString json(
      Map<String, JsonPrimitive> identity, Map<String, String> attributes) {
    JsonObject whole = new JsonObject();
    identity.forEach(whole::add);
    JsonObject all = new JsonObject();
    attributes.forEach(all::addProperty);
    whole.add(ATTRIBUTES, all);
    return ByteString.copyFromUtf8(whole + "\n");
  }

  /** {@code projects/PROJECT/microvms/NAME}. */
  private static String name(Assignment assignment) {
    return assignment.getName().substring(assignment.getName().lastIndexOf('/') + 1);
  }

  private static String project(Assignment assignment) {
    String[] parts = assignment.getName().split("/", -1);
    return parts.length > 1 ? parts[1] : "";
  }

  private void list(String directory, Collection<String> names) {
    text(directory, String.join("\n", names));
    text(directory + "/", String.join("\n", names));
  }

  private void text(String path, String value) {
    byPath.put(path, Page.text(value));
  }

  /**
   * What is at a path.
   *
   * @param path as in a request, without a query
   */
  Optional<Page> find(String path) {
    return Optional.ofNullable(byPath.get(path));
  }
}
