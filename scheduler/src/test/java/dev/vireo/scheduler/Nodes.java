package dev.vireo.scheduler;

import dev.vireo.scheduler.Request.Kernel;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Nodes and requests to begin with; a test changes the one thing it is about. */
final class Nodes {
  private Nodes() {}

  static final Image DEBIAN = new Image("debian-12", "x86_64", true, Set.of("acpi"));
  static final Image PROBE = new Image("probe", "x86_64", false, Set.of("cmdline"));

  /** A node and what it has been promised. */
  record Node(String id, NodeKind kind, Resources allocated) {}

  /** A healthy x86-64 node with hardware virtualization. */
  static Node node(String id, long cpus, long memoryMib) {
    return new Node(
        id,
        new NodeKind(
            true,
            false,
            false,
            "x86_64",
            true,
            64,
            Set.of("acpi", "cmdline"),
            Set.of("blk/file"),
            List.of(DEBIAN, PROBE),
            Map.of("zone", "a"),
            Set.of(),
            new Resources(cpus * 1000, memoryMib)),
        Resources.NONE);
  }

  static Cluster cluster(Collection<Node> nodes) {
    Cluster cluster = new Cluster();
    for (Node node : nodes) {
      cluster.put(node.id(), node.kind());
      cluster.reserve("on " + node.id(), node.id(), node.allocated(), Peer.NONE);
    }
    return cluster;
  }

  static Node allocated(Node n, long cpus, long memoryMib) {
    return new Node(n.id(), n.kind(), new Resources(cpus * 1000, memoryMib));
  }

  static Node notReady(Node n) {
    return with(n, false, n.kind().cordoned(), n.kind().emulated());
  }

  static Node cordoned(Node n) {
    return with(n, n.kind().ready(), true, n.kind().emulated());
  }

  static Node emulated(Node n) {
    return with(n, n.kind().ready(), n.kind().cordoned(), true);
  }

  /** Without hardware virtualization. */
  static Node pvm(Node n) {
    return with(n, n.kind().architecture(), false, n.kind().backEnds(), n.kind().images());
  }

  static Node withImages(Node n, Image... images) {
    NodeKind kind = n.kind();
    return with(n, kind.architecture(), kind.runsLinuxGuests(), kind.backEnds(), List.of(images));
  }

  static Node withBackEnds(Node n, String... backEnds) {
    NodeKind kind = n.kind();
    return with(n, kind.architecture(), kind.runsLinuxGuests(), Set.of(backEnds), kind.images());
  }

  static Node arm64(Node n) {
    return with(n, "arm64", n.kind().runsLinuxGuests(), n.kind().backEnds(), n.kind().images());
  }

  private static Node with(
      Node n, String architecture, boolean linux, Set<String> backEnds, List<Image> images) {
    NodeKind kind = n.kind();
    return new Node(
        n.id(),
        new NodeKind(
            kind.ready(),
            kind.cordoned(),
            kind.emulated(),
            architecture,
            linux,
            kind.maxVcpus(),
            kind.announcements(),
            backEnds,
            images,
            kind.labels(),
            kind.taints(),
            kind.capacity()),
        n.allocated());
  }

  private static Node with(Node n, boolean ready, boolean cordoned, boolean emulated) {
    NodeKind kind = n.kind();
    return new Node(
        n.id(),
        new NodeKind(
            ready,
            cordoned,
            emulated,
            kind.architecture(),
            kind.runsLinuxGuests(),
            kind.maxVcpus(),
            kind.announcements(),
            kind.backEnds(),
            kind.images(),
            kind.labels(),
            kind.taints(),
            kind.capacity()),
        n.allocated());
  }

  static Node labelled(Node n, Map<String, String> labels, Taint... taints) {
    NodeKind kind = n.kind();
    return new Node(
        n.id(),
        new NodeKind(
            kind.ready(),
            kind.cordoned(),
            kind.emulated(),
            kind.architecture(),
            kind.runsLinuxGuests(),
            kind.maxVcpus(),
            kind.announcements(),
            kind.backEnds(),
            kind.images(),
            labels,
            Set.of(taints),
            kind.capacity()),
        n.allocated());
  }

  /** A Linux guest with one disk, which wants something of nodes and of other microVMs. */
  static Request debian(int vcpus, long memoryMib, NodeRules rules, Peer peer) {
    return new Request(
        Optional.of("x86_64"),
        vcpus,
        memoryMib,
        new Kernel.FromImage("debian-12"),
        Optional.empty(),
        Optional.empty(),
        Set.of("blk/file"),
        rules,
        peer,
        Set.of());
  }

  /** The same of a guest that runs a container. */
  static Request running(Request.ContainerImage image, Request r) {
    return new Request(
        r.architecture(),
        r.vcpus(),
        r.memoryMib(),
        r.kernel(),
        r.announcement(),
        Optional.of(image),
        r.backEnds(),
        r.nodeRules(),
        r.peer(),
        r.avoid());
  }

  /** A Linux guest with one disk. */
  static Request debian(int vcpus, long memoryMib) {
    return request(
        Optional.of("x86_64"), vcpus, memoryMib, new Kernel.FromImage("debian-12"), Map.of());
  }

  static Request request(
      Optional<String> architecture,
      int vcpus,
      long memoryMib,
      Kernel kernel,
      Map<String, String> selector) {
    return new Request(
        architecture,
        vcpus,
        memoryMib,
        kernel,
        Optional.empty(),
        Optional.empty(),
        Set.of("blk/file"),
        NodeRules.selecting(selector),
        Peer.NONE,
        Set.of());
  }
}
