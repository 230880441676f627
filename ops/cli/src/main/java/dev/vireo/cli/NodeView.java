package dev.vireo.cli;

import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.ListNodesResponse;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.v1.NodeStatus;
import java.io.PrintStream;
import java.time.Clock;
import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;

/** A node in words. */
public final class NodeView {
  private final Clock clock;

  public NodeView(Clock clock) {
    this.clock = clock;
  }

  /** Nodes, in any format. */
  public static void print(List<Node> nodes, OutputOptions.Format format, Environment environment) {
    PrintStream out = environment.out();
    switch (format) {
      case JSON ->
          out.println(
              OutputOptions.json(ListNodesResponse.newBuilder().addAllNodes(nodes).build()));
      case NAME -> nodes.forEach(node -> out.println(node.getMeta().getName()));
      case TABLE, WIDE -> {
        if (nodes.isEmpty()) {
          environment
              .err()
              .println(
                  "No nodes. Start a worker here: vireo up; without /dev/kvm: vireo node add --emulated");
        } else {
          new NodeView(environment.clock())
              .printList(nodes, format == OutputOptions.Format.WIDE, out);
        }
      }
    }
  }

  private void printList(List<Node> nodes, boolean wide, PrintStream out) {
    Instant now = clock.instant();
    Table table =
        wide
            ? new Table(
                "NAME",
                "HEALTH",
                "ARCH",
                "KVM",
                "LINUX GUESTS",
                "CPU",
                "MEMORY",
                "MICROVMS",
                "WARM",
                "SEEN",
                "IMAGES",
                "LABELS")
            : new Table(
                "NAME",
                "HEALTH",
                "ARCH",
                "KVM",
                "LINUX GUESTS",
                "CPU",
                "MEMORY",
                "MICROVMS",
                "WARM",
                "SEEN");
    for (Node node : nodes) {
      NodeStatus status = node.getStatus();
      NodeCapabilities capabilities = status.getCapabilities();
      Object[] cells = {
        Api.id(node.getMeta().getName()),
        health(node),
        Text.lower(capabilities.getArchitecture()),
        Text.orDash(capabilities.getVirtualization())
            + (capabilities.getEmulated() ? " (emulated)" : ""),
        capabilities.getRunsLinuxGuests() ? "yes" : "no",
        usedOf(
            Text.cpus(status.getAllocated().getCpuMilli()),
            Text.cpus(promisable(status).getCpuMilli())),
        usedOf(
            Text.mebibytes(status.getAllocated().getMemoryMib()),
            Text.mebibytes(promisable(status).getMemoryMib())),
        status.getMicrovmCount(),
        status.getWarmVmms(),
        Text.age(status.getLastHeartbeatTime(), now),
        images(capabilities),
        Text.labels(node.getMeta().getLabelsMap())
      };
      table.add(wide ? cells : java.util.Arrays.copyOf(cells, cells.length - 2));
    }
    table.print(out);
  }

  /** {@code node get}. */
  public void printPage(Node node, PrintStream out) {
    NodeStatus status = node.getStatus();
    NodeCapabilities capabilities = status.getCapabilities();
    field(out, "name", node.getMeta().getName());
    field(
        out,
        "health",
        "%s, last seen %s ago, worker %s"
            .formatted(
                health(node),
                Text.age(status.getLastHeartbeatTime(), clock.instant()),
                Text.orDash(status.getWorkerVersion())));
    field(out, "labels", Text.labels(node.getMeta().getLabelsMap()));
    field(out, "taints", taints(node));
    field(
        out,
        "runs",
        "%s guests by %s, up to %d vCPUs; %s"
            .formatted(
                Text.lower(capabilities.getArchitecture()),
                Text.orDash(capabilities.getVirtualization())
                    + (capabilities.getEmulated() ? " (emulated: right, and slow)" : ""),
                capabilities.getMaxVcpus(),
                capabilities.getRunsLinuxGuests()
                    ? "Linux and bare-metal"
                    : "bare-metal only, for want of hardware virtualization"));
    field(
        out,
        "CPU",
        "%s promised of %s"
            .formatted(
                Text.cpus(status.getAllocated().getCpuMilli()),
                Text.cpus(promisable(status).getCpuMilli())));
    field(
        out,
        "memory",
        "%s promised of %s"
            .formatted(
                Text.mebibytes(status.getAllocated().getMemoryMib()),
                Text.mebibytes(promisable(status).getMemoryMib())));
    field(
        out,
        "microVMs",
        "%d, with those that have ended %d; %d VMM processes warm"
            .formatted(
                status.getMicrovmCount(), status.getAssignedMicrovms(), status.getWarmVmms()));
    field(
        out,
        "announces",
        capabilities.getAnnouncementsList().stream()
            .map(Text::lower)
            .collect(Collectors.joining(", ")));
    field(out, "back ends", String.join(", ", capabilities.getBackEndsList()));
    if (capabilities.getImagesCount() > 0) {
      out.println();
      Table table = new Table("IMAGE", "ARCH", "GUEST", "LEAST MEMORY", "ANNOUNCED BY");
      for (NodeImage image : capabilities.getImagesList()) {
        table.add(
            image.getName(),
            Text.lower(image.getArchitecture()),
            image.getGuestKind(),
            Text.mebibytes(image.getMinMemoryMib()),
            image.getAnnouncementsList().stream()
                .map(Text::lower)
                .collect(Collectors.joining(", ")));
      }
      table.print(out);
    }
    if (status.getContainerImagesCount() > 0) {
      out.println();
      Table table = new Table("CONTAINER IMAGE", "ID", "ROOT");
      for (ContainerImage image : status.getContainerImagesList()) {
        table.add(
            Text.orDash(String.join(", ", image.getNamesList())),
            ImageCommands.shortId(image),
            Text.bytes(image.getRootBytes()));
      }
      table.print(out);
    }
  }

  /** What nodes have promised of what they may. */
  static void printTop(List<Node> nodes, TopView microVms, PrintStream out) {
    Table table =
        new Table("NODE", "HEALTH", "CPU", "CPU PROMISED", "MEMORY PROMISED", "MICROVMS", "WARM");
    for (Node node : nodes) {
      NodeStatus status = node.getStatus();
      table.add(
          Api.id(node.getMeta().getName()),
          health(node),
          TopView.cpus(microVms.cpusOf(Api.id(node.getMeta().getName()))),
          usedOf(
              Text.cpus(status.getAllocated().getCpuMilli()),
              Text.cpus(promisable(status).getCpuMilli())),
          usedOf(
              Text.mebibytes(status.getAllocated().getMemoryMib()),
              Text.mebibytes(promisable(status).getMemoryMib())),
          status.getMicrovmCount(),
          status.getWarmVmms());
    }
    table.print(out);
  }

  private static String health(Node node) {
    return node.getStatus().getHealth() + suffix(node);
  }

  private static String suffix(Node node) {
    if (node.getSpec().hasDrain()) {
      int left = node.getStatus().getAssignedMicrovms();
      return left == 0 ? ", drained" : ", draining (%d left)".formatted(left);
    }
    return node.getSpec().getCordoned() ? ", cordoned" : "";
  }

  static String taints(Node node) {
    return Text.orDash(
        node.getSpec().getTaintsList().stream()
            .map(taint ->
                taint.getKey()
                    + (taint.getValue().isEmpty() ? "" : "=" + taint.getValue())
                    + ":"
                    + Text.camel(taint.getEffect()))
            .collect(Collectors.joining(",")));
  }

  /** Of a controller that does not tell yet, the capacity. */
  private static NodeResources promisable(NodeStatus status) {
    return status.hasPromisable() ? status.getPromisable() : status.getCapacity();
  }

  private static String usedOf(String used, String all) {
    return used + " of " + all;
  }

  private static String images(NodeCapabilities capabilities) {
    return Text.orDash(
        capabilities.getImagesList().stream()
            .map(NodeImage::getName)
            .collect(Collectors.joining(",")));
  }

  private static void field(PrintStream out, String name, String value) {
    out.println("%-10s %s".formatted(name, value));
  }
}
