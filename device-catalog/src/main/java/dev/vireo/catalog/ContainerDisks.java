package dev.vireo.catalog;

import java.util.List;

/**
 * The two disks that a container adds to its microVM's own, behind those. The guest's agent finds
 * them by these ids, which are their virtio-blk serials.
 */
public final class ContainerDisks {
  /** The image's root file system, read-only. */
  public static final String IMAGE = "container-image";

  /** The writable layer above it. */
  public static final String WRITABLE = "container-writable";

  /** Both, in the order of their slots. */
  public static final List<String> IDS = List.of(IMAGE, WRITABLE);

  private ContainerDisks() {}
}
