package dev.vireo.scheduler;

import dev.vireo.scheduler.Request.Kernel;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Nodes and requests to begin with; a test changes the one thing it is about. */
final class Nodes {
  private Nodes() {}

  static final Image DEBIAN = new Image("debian-12", "x86_64", true, Set.of("acpi"));
  static final Image PROBE = new Image("probe", "x86_64", false, Set.of("cmdline"));

  /** A healthy x86-64 node with hardware virtualization. */
  static Node node(String id, long cpus, long memoryMib) {
    return new Node(
        id,
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
        new Resources(cpus * 1000, memoryMib),
        Resources.NONE);
  }

  static Node allocated(Node n, long cpus, long memoryMib) {
    return with(n, n.ready(), n.cordoned(), n.emulated(), new Resources(cpus * 1000, memoryMib));
  }

  static Node notReady(Node n) {
    return with(n, false, n.cordoned(), n.emulated(), n.allocated());
  }

  static Node cordoned(Node n) {
    return with(n, n.ready(), true, n.emulated(), n.allocated());
  }

  static Node emulated(Node n) {
    return with(n, n.ready(), n.cordoned(), true, n.allocated());
  }

  /** Without hardware virtualization. */
  static Node pvm(Node n) {
    return copy(n, n.architecture(), false, n.backEnds(), n.images());
  }

  static Node withImages(Node n, Image... images) {
    return copy(n, n.architecture(), n.runsLinuxGuests(), n.backEnds(), List.of(images));
  }

  static Node withBackEnds(Node n, String... backEnds) {
    return copy(n, n.architecture(), n.runsLinuxGuests(), Set.of(backEnds), n.images());
  }

  static Node arm64(Node n) {
    return copy(n, "arm64", n.runsLinuxGuests(), n.backEnds(), n.images());
  }

  private static Node copy(
      Node n, String architecture, boolean linux, Set<String> backEnds, List<Image> images) {
    return new Node(
        n.id(),
        n.ready(),
        n.cordoned(),
        n.emulated(),
        architecture,
        linux,
        n.maxVcpus(),
        n.announcements(),
        backEnds,
        images,
        n.labels(),
        n.capacity(),
        n.allocated());
  }

  private static Node with(
      Node n, boolean ready, boolean cordoned, boolean emulated, Resources allocated) {
    return new Node(
        n.id(),
        ready,
        cordoned,
        emulated,
        n.architecture(),
        n.runsLinuxGuests(),
        n.maxVcpus(),
        n.announcements(),
        n.backEnds(),
        n.images(),
        n.labels(),
        n.capacity(),
        allocated);
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
        Set.of("blk/file"),
        selector,
        Set.of());
  }
}
