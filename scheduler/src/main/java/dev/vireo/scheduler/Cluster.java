package dev.vireo.scheduler;

import dev.vireo.scheduler.Ledger.Allocation;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * All nodes and what each has been promised, indexed for decisions: by kind, and within a kind by
 * the parts of CPU and memory that are in use ({@link Cell}). A change moves one node.
 *
 * <p>Claims may come before their node. Not thread-safe: its owner decides and reserves in one
 * step.
 */
public final class Cluster {
  private final Ledger ledger = new Ledger();
  private final Map<String, Cell> byId = new HashMap<>();
  private final Map<NodeKind, Cell> byKind = new HashMap<>();
  private final ContainerImages containerImages = new ContainerImages();
  private final Peers peers;

  /** How often anything was claimed. */
  private long turn;

  public Cluster() {
    this(Peers.MOST_TALLIES);
  }

  Cluster(int mostTallies) {
    this.peers = new Peers(byId::get, mostTallies);
  }

  /** Makes a node one of this kind, whatever it was. */
  public void put(String nodeId, NodeKind kind) {
    Cell before = byId.get(nodeId);
    if (before != null && before.kind().equals(kind)) {
      return;
    }
    if (before != null) {
      takeOut(nodeId, before);
    }
    Cell after = byKind.computeIfAbsent(kind, Cell::new);
    byId.put(nodeId, after);
    after.add(nodeId, allocation(nodeId).resources());
    peers.moved(nodeId, before, after);
  }

  /**
   * Makes these the container images that a node has, whatever they were.
   *
   * @param images each by its names and its id
   */
  public void putContainerImages(String nodeId, Set<String> images) {
    containerImages.put(nodeId, images);
  }

  /** Whether a node has a container image, as far as it has told. */
  public boolean hasContainerImage(String nodeId, String image) {
    return containerImages.has(nodeId, image);
  }

  private void takeOut(String nodeId, Cell nodes) {
    nodes.remove(nodeId, allocation(nodeId).resources());
    if (nodes.nodes() == 0) {
      byKind.remove(nodes.kind());
    }
  }

  /** Claims a node's resources for a microVM, in place of what it claimed before. */
  public void reserve(String uid, String nodeId, Resources resources, Peer peer) {
    if (ledger.has(uid, nodeId, resources, peer.priority()) && peers.has(uid, nodeId, peer)) {
      return; // As most often: it was reserved when it was decided, and is durable now.
    }
    turn++;
    release(uid);
    move(nodeId, () -> ledger.reserve(uid, nodeId, resources, peer.priority()));
    peers.add(uid, nodeId, peer);
  }

  /** Gives back what the microVM claimed, if anything. */
  public void release(String uid) {
    peers.remove(uid);
    ledger.nodeOf(uid).ifPresent(nodeId -> move(nodeId, () -> ledger.release(uid)));
  }

  private void move(String nodeId, Runnable change) {
    Cell nodes = byId.get(nodeId);
    if (nodes == null) {
      change.run();
      return;
    }
    nodes.remove(nodeId, allocation(nodeId).resources());
    change.run();
    nodes.add(nodeId, allocation(nodeId).resources());
  }

  public Allocation allocation(String nodeId) {
    return ledger.allocation(nodeId);
  }

  /**
   * What a node can still promise, negative where it has promised too much; empty for a node that
   * is not known.
   */
  public Optional<Resources> free(String nodeId) {
    return Optional.ofNullable(byId.get(nodeId))
        .map(nodes -> nodes.kind().capacity().minus(allocation(nodeId).resources()));
  }

  int size() {
    return byId.size();
  }

  Collection<Cell> kinds() {
    return Collections.unmodifiableCollection(byKind.values());
  }

  Ledger ledger() {
    return ledger;
  }

  ContainerImages containerImages() {
    return containerImages;
  }

  /** Another one after each claim. Not negative. */
  long turn() {
    return turn;
  }

  Peers peers() {
    return peers;
  }

  /** What a known node is. */
  Optional<NodeKind> kind(String nodeId) {
    return Optional.ofNullable(byId.get(nodeId)).map(Cell::kind);
  }

  /** All nodes of a known node's kind. */
  @Nullable Cell cell(String nodeId) {
    return byId.get(nodeId);
  }
}
