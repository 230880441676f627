package dev.vireo.scheduler;

import java.util.Optional;
import java.util.Set;

/**
 * What a microVM needs of a node.
 *
 * @param architecture empty: that of the kernel
 * @param vcpus at least 1
 * @param memoryMib guest memory in MiB
 * @param announcement empty: whatever the kernel and the node agree on
 * @param containerImage that its guest runs, if it is a container
 * @param backEnds that the node must have, for example "blk/file"
 * @param nodeRules what it wants of nodes' labels and taints
 * @param peer what it is to other microVMs, and wants of where they are
 * @param avoid ids of nodes that have just refused this microVM
 */
public record Request(
    Optional<String> architecture,
    int vcpus,
    long memoryMib,
    Kernel kernel,
    Optional<String> announcement,
    Optional<ContainerImage> containerImage,
    Set<String> backEnds,
    NodeRules nodeRules,
    Peer peer,
    Set<String> avoid) {
  public Request {
    backEnds = Set.copyOf(backEnds);
    avoid = Set.copyOf(avoid);
  }

  /** Where the guest's kernel comes from. */
  public sealed interface Kernel {
    /** A name in the node's image store. */
    record FromImage(String name) implements Kernel {}

    /** A file on the node, of which only the node can tell what it is. */
    record FromFile(String path) implements Kernel {}
  }

  /**
   * A container image, which a node has or gets.
   *
   * @param name as nodes tell it of theirs
   * @param needed whether a node that has not got it refuses, and does not get it
   */
  public record ContainerImage(String name, boolean needed) {}

  /** What the node promises when it takes the microVM. */
  public Resources demand() {
    return new Resources(vcpus * 1000L, memoryMib);
  }
}
