package dev.vireo.scheduler;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What nodes have in common that are alike in all but their names and what they have been promised.
 * Of ten thousand machines there are few kinds.
 *
 * @param ready its worker has a session and its lease lasts
 * @param cordoned it takes no new microVMs
 * @param emulated it runs inside an emulator: right, and slow
 * @param runsLinuxGuests whether its KVM can boot an unmodified Linux kernel
 * @param maxVcpus the most vCPUs that one microVM can have there
 * @param announcements how it can tell a guest of its devices
 * @param backEnds names from the device catalogue, for example "blk/file"
 * @param images its image store; a name may be there once per architecture
 * @param labels for selectors. A label with another value on each node makes each a kind of its
 *     own, which costs an index's speed and nothing else
 * @param taints what keeps microVMs away that do not tolerate it
 * @param capacity what it may promise in all, overcommitment included
 */
public record NodeKind(
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
    Set<Taint> taints,
    Resources capacity) {
  public NodeKind {
    announcements = Set.copyOf(announcements);
    backEnds = Set.copyOf(backEnds);
    images = List.copyOf(images);
    labels = Map.copyOf(labels);
    taints = Set.copyOf(taints);
  }
}
