package dev.vireo.controller.node;

import static dev.vireo.controller.store.Store.await;

import dev.vireo.controller.store.Change;
import dev.vireo.controller.store.Listing;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.store.v1.NodeRecord;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.NodeStatus;
import dev.vireo.proto.v1.NodeStatus.Health;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentNavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Every node there is: an image of the store, and each node's lease.
 *
 * <p>A heartbeat is not a durable write. After a restart of the controller a node is of unknown
 * health until its worker says Hello, and LOST if it does not within a lease.
 */
public final class Nodes implements AutoCloseable {
  static final String KEY_PREFIX = "nodes/";

  private final Store store;
  private final TimeSource time;
  private final Duration lease;
  private final Supplier<UUID> uuids;
  private final ConcurrentNavigableMap<String, StoredNode> byId = new ConcurrentSkipListMap<>();
  private final ConcurrentHashMap<String, Heard> heard = new ConcurrentHashMap<>();

  /** By node, as its worker has told it; not kept, for the next Hello tells it again. */
  private final ConcurrentHashMap<String, List<ContainerImage>> containerImages =
      new ConcurrentHashMap<>();

  private final List<Consumer<StoredNode>> listeners = new CopyOnWriteArrayList<>();
  private final Store.Watch watch;

  /** Since when workers are heard, as this controller leads. */
  private volatile long startNanos;

  /** The last word of a node's worker. */
  private record Heard(long nanos, Instant at, int warmVmms) {}

  /** The outcome of {@link #register}. */
  public enum Registration {
    /** The node is new, or the worker is the one that had it. */
    WELCOME,
    /** The lease of another worker lasts. */
    TAKEN,
    /**
     * Another worker had the node and has gone: what it ran is lost. Said at each Hello until
     * {@link #lossesRecorded}, for the controller may die before it has written that down.
     */
    REPLACED
  }

  private Nodes(Store store, TimeSource time, Duration lease, Supplier<UUID> uuids) {
    this.store = store;
    this.time = time;
    this.lease = lease;
    this.uuids = uuids;
    this.startNanos = time.nanoTime();
    Listing listing = await(store.list(KEY_PREFIX));
    listing.entries().stream().map(StoredNode::of).forEach(node -> byId.put(node.id(), node));
    watch = await(store.watch(KEY_PREFIX, listing.version(), new Image()));
  }

  public static Nodes open(Store store, TimeSource time, Duration lease, Supplier<UUID> uuids) {
    return new Nodes(store, time, lease, uuids);
  }

  @Override
  public void close() {
    watch.close();
  }

  /**
   * This controller leads from now on: what workers have told it when it led before, or never, says
   * nothing. Each has a lease's time to tell.
   */
  public void beginTerm() {
    startNanos = time.nanoTime();
    heard.clear();
    containerImages.clear();
    byId.values().forEach(this::tell);
  }

  /**
   * Tells of every node that becomes another one, on the store's thread, or is heard of again or
   * has other container images, on the thread that hears of it.
   */
  public void listen(Consumer<StoredNode> listener) {
    listeners.add(listener);
  }

  public Duration lease() {
    return lease;
  }

  public Optional<StoredNode> find(String id) {
    return Optional.ofNullable(byId.get(id));
  }

  /** All of them, by id. */
  public Collection<StoredNode> all() {
    return Collections.unmodifiableCollection(byId.values());
  }

  /** Those after an id, by id. */
  public Collection<StoredNode> after(String id) {
    return Collections.unmodifiableCollection(byId.tailMap(id, false).values());
  }

  public Health health(String id) {
    Heard last = heard.get(id);
    if (last != null) {
      return time.nanoTime() - last.nanos < lease.toNanos() ? Health.READY : Health.LOST;
    }
    return time.nanoTime() - startNanos < lease.toNanos() ? Health.HEALTH_UNSPECIFIED : Health.LOST;
  }

  /** Whether nobody has heard of the node for a time after its lease has ended. */
  public boolean isLostFor(String id, Duration time) {
    Heard last = heard.get(id);
    long since = last == null ? startNanos : last.nanos;
    return this.time.nanoTime() - since >= lease.plus(time).toNanos();
  }

  /**
   * What clients see.
   *
   * @param use what microVMs make of the node's status
   */
  public Node view(StoredNode stored, NodeStatus use) {
    Node.Builder node = stored.node().toBuilder();
    node.getMetaBuilder()
        .setResourceVersion(stored.version())
        .setEtag(stored.etag())
        .putAllLabels(stored.labels());
    NodeStatus.Builder status =
        node.getStatusBuilder()
            .mergeFrom(use)
            .setHealth(health(stored.id()))
            .setPromisable(stored.promisable())
            .addAllContainerImages(containerImages(stored.id()));
    Heard last = heard.get(stored.id());
    if (last != null) {
      status.setLastHeartbeatTime(Timestamps.of(last.at)).setWarmVmms(last.warmVmms);
    }
    return node.build();
  }

  /** What a node's cache has, as far as its worker has told. */
  public List<ContainerImage> containerImages(String id) {
    return containerImages.getOrDefault(id, List.of());
  }

  /** A worker's Hello: makes the node, or brings it up to date. Durable on return. */
  public Registration register(Hello hello) {
    while (true) {
      Optional<StoredNode> before = find(hello.getNodeId());
      boolean replaced =
          before.isPresent() && !before.get().record().getWorkerUid().equals(hello.getNodeUid());
      if (replaced && health(hello.getNodeId()) != Health.LOST) {
        return Registration.TAKEN;
      }
      NodeRecord after = record(hello, before, replaced);
      try {
        if (before.isEmpty() || !before.get().record().equals(after)) {
          await(put(hello.getNodeId(), before, after));
        }
        setContainerImages(hello.getNodeId(), hello.getContainerImagesList());
        if (after.getReplacing()) {
          // Not ready yet: what is placed there now would be taken for the other worker's.
          return Registration.REPLACED;
        }
        hear(hello.getNodeId(), 0);
        if (isFenced(hello.getNodeId())) {
          continue; // Just now, by one who took it for lost: it is not, and that is over.
        }
        return Registration.WELCOME;
      } catch (Conflict _) {
        // Two workers at once: look again who was first.
      }
    }
  }

  /** All that the replaced worker ran is recorded as lost: the node is ready. Durable on return. */
  public void lossesRecorded(String id) {
    update(id, node -> node.record().toBuilder().clearReplacing().build());
    hear(id, 0);
  }

  /**
   * An operator's word that a node's machine is off: what it ran is to be recorded as lost, until
   * {@link #fencingDone}. Void if the node is heard of before that. Durable on return.
   *
   * @param check throws if the node is not what the operator takes it for
   * @return the node; empty if there is none, or it is not LOST
   */
  public Optional<StoredNode> fence(String id, Consumer<StoredNode> check) {
    Optional<StoredNode> fenced =
        update(
            id,
            node -> {
              check.accept(node);
              return health(id) == Health.LOST
                  ? node.record().toBuilder().setFencing(true).build()
                  : node.record();
            });
    // A worker that came back before it could see this has been heard of by now.
    return fenced.filter(node -> node.record().getFencing() && health(id) == Health.LOST);
  }

  /** Whether it was fenced, and what it ran has yet to be recorded as lost. */
  public boolean isFenced(String id) {
    return find(id).filter(node -> node.record().getFencing()).isPresent();
  }

  /** All that a fenced node ran is recorded as lost. Durable on return. */
  public void fencingDone(String id) {
    update(id, node -> node.record().toBuilder().clearFencing().build());
  }

  /**
   * Changes what is wanted of a node, again from the start as long as somebody else is quicker.
   * Durable on return.
   *
   * @return the node after it; empty if there is none
   */
  public Optional<StoredNode> updateSpec(String id, Function<StoredNode, NodeSpec> change) {
    return update(
        id,
        node -> {
          NodeSpec spec = change.apply(node);
          if (spec.equals(node.node().getSpec())) {
            return node.record();
          }
          NodeRecord.Builder after = node.record().toBuilder();
          after.getNodeBuilder().setSpec(spec);
          ResourceMeta.Builder meta = after.getNodeBuilder().getMetaBuilder();
          meta.setGeneration(meta.getGeneration() + 1);
          return touched(after);
        });
  }

  private Optional<StoredNode> update(String id, Function<StoredNode, NodeRecord> change) {
    while (true) {
      Optional<StoredNode> node = find(id);
      if (node.isEmpty()) {
        return node;
      }
      NodeRecord after = change.apply(node.get());
      if (after.equals(node.get().record())) {
        return node;
      }
      try {
        long version = await(put(id, node, after));
        return Optional.of(new StoredNode(after, version, node.get().createdVersion()));
      } catch (Conflict _) {
        // The node has changed meanwhile: once more, on what it is now.
      }
    }
  }

  /**
   * A worker's heartbeat. That of one that was replaced says nothing of the node, nor does its
   * successor's before {@link #lossesRecorded}: the node is not ready yet.
   *
   * @param workerUid as the worker's Hello had it
   * @return whether it was heard
   */
  public boolean heartbeat(String id, String workerUid, Heartbeat heartbeat) {
    if (find(id).filter(node -> isOf(workerUid, node.record())).isEmpty()) {
      return false;
    }
    hear(id, heartbeat.getWarmVmms());
    if (heartbeat.hasContainerImages()) {
      setContainerImages(id, heartbeat.getContainerImages().getImagesList());
    }
    find(id).ifPresent(node -> update(node, heartbeat));
    return true;
  }

  private static boolean isOf(String workerUid, NodeRecord record) {
    return record.getWorkerUid().equals(workerUid) && !record.getReplacing();
  }

  private void update(StoredNode node, Heartbeat heartbeat) {
    NodeRecord.Builder after = node.record().toBuilder();
    NodeStatus.Builder status = after.getNodeBuilder().getStatusBuilder();
    if (heartbeat.hasCapabilities()) {
      status.setCapabilities(heartbeat.getCapabilities());
    }
    if (heartbeat.hasCapacity()) {
      status.setCapacity(heartbeat.getCapacity());
    }
    if (!after.build().equals(node.record())) {
      // Not waited for: what is lost by a conflict or a failing store comes with the next
      // heartbeat.
      CompletableFuture<Long> _ = put(node.id(), Optional.of(node), touched(after));
    }
  }

  private void setContainerImages(String id, List<ContainerImage> images) {
    if (!images.equals(containerImages.put(id, images))) {
      find(id).ifPresent(this::tell);
    }
  }

  private void hear(String id, int warmVmms) {
    boolean back = health(id) != Health.READY;
    heard.put(id, new Heard(time.nanoTime(), time.now(), warmVmms));
    if (back) {
      find(id).ifPresent(this::tell);
    }
  }

  private void tell(StoredNode node) {
    listeners.forEach(listener -> listener.accept(node));
  }

  /** Nodes whose lease has ended since the last call; the listeners are told of each. */
  public List<String> endLeases(Collection<String> knownLost) {
    List<String> lost = new ArrayList<>();
    for (String id : byId.keySet()) {
      if (!knownLost.contains(id) && health(id) == Health.LOST) {
        lost.add(id);
      }
    }
    lost.forEach(id -> find(id).ifPresent(this::tell));
    return lost;
  }

  private NodeRecord record(Hello hello, Optional<StoredNode> before, boolean replaced) {
    NodeRecord.Builder record =
        before.map(node -> node.record().toBuilder()).orElseGet(this::newRecord);
    record
        .setWorkerUid(hello.getNodeUid())
        .setReplacing(replaced || record.getReplacing())
        .clearFencing();
    Node.Builder node = record.getNodeBuilder();
    node.getMetaBuilder()
        .setName(StoredNode.NAME_PREFIX + hello.getNodeId())
        .clearLabels()
        .putAllLabels(hello.getLabelsMap());
    node.getStatusBuilder()
        .setCapabilities(hello.getCapabilities())
        .setCapacity(hello.getCapacity())
        .setWorkerVersion(hello.getWorkerVersion());
    return before.isPresent() && before.get().record().equals(record.build())
        ? before.get().record()
        : touched(record);
  }

  private NodeRecord.Builder newRecord() {
    NodeRecord.Builder record = NodeRecord.newBuilder();
    record
        .getNodeBuilder()
        .getMetaBuilder()
        .setUid(uuids.get().toString())
        .setGeneration(1)
        .setCreateTime(Timestamps.of(time.now()));
    return record;
  }

  private NodeRecord touched(NodeRecord.Builder record) {
    record.getNodeBuilder().getMetaBuilder().setUpdateTime(Timestamps.of(time.now()));
    return record.build();
  }

  private CompletableFuture<Long> put(String id, Optional<StoredNode> before, NodeRecord after) {
    long expected = before.map(StoredNode::version).orElse(Write.ABSENT);
    return store.commit(List.of(new Write.Put(KEY_PREFIX + id, expected, after.toByteString())));
  }

  private final class Image implements Store.Watcher {
    @Override
    public void onChanges(List<Change> changes) {
      apply(changes);
    }

    @Override
    public void onListing(Listing listing) {
      apply(listing.changesSince(byId.values().stream().map(StoredNode::entry).toList()));
    }
  }

  private void apply(List<Change> changes) {
    for (Change change : changes) {
      switch (change) {
        case Change.Updated updated -> {
          StoredNode node = StoredNode.of(updated.entry());
          byId.put(node.id(), node);
          tell(node);
        }
        case Change.Deleted deleted -> {
          String id = deleted.key().substring(KEY_PREFIX.length());
          byId.remove(id);
          containerImages.remove(id);
        }
      }
    }
  }
}
