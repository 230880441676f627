package dev.vireo.scheduler;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A node as it is at the moment of a decision.
 *
 * @param ready its worker has a session and its lease lasts
 * @param cordoned it takes no new microVMs
 * @param emulated it runs inside an emulator: right, and slow
 * @param runsLinuxGuests whether its KVM can boot an unmodified Linux kernel
 * @param maxVcpus the most vCPUs that one microVM can have there
 * @param announcements how it can tell a guest of its devices
 * @param backEnds names from the device catalogue, for example "blk/file"
 * @param images its image store; a name may be there once per architecture
 * @param capacity what it may promise in all, overcommitment included
 * @param allocated what it has been promised
 */
public record Node(
    String id,
    boolean ready,
    boolean cordoned,
    boolean emulated,
    String architecture,
    boolean runsLinuxGuests,
    int maxVcpus,
    Set<String> announcements,
    Set<String> backEnds,
    List<Image> images,
    Map<String, String> labels,
    Resources capacity,
    Resources allocated) {
  public Node {
    announcements = Set.copyOf(announcements);
    backEnds = Set.copyOf(backEnds);
    images = List.copyOf(images);
    labels = Map.copyOf(labels);
  }

  /** What it can still promise; negative where it has promised too much. */
  public Resources free() {
    return capacity.minus(allocated);
  }
}
