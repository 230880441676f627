package dev.vireo.worker.microvm;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.boot.OpenMemory;
import dev.vireo.worker.boot.RejectedException;
import java.util.HashMap;
import java.util.Map;

/**
 * What of the node's capacity is promised to which microVM. The controller plans with the same
 * numbers, those of the assignment; this is the last word, for when two of its decisions cross.
 * Thread-safe.
 */
public final class Reservations {
  private static final long MILLI_PER_VCPU = 1000;

  private record Share(long cpuMilli, long memoryMib) {
    static Share of(MicroVmSpec spec) {
      return new Share(spec.getVcpus() * MILLI_PER_VCPU, OpenMemory.mostMib(spec));
    }
  }

  private final NodeResources capacity;
  private final Map<String, Share> shares = new HashMap<>();

  public Reservations(NodeResources capacity) {
    this.capacity = capacity;
  }

  /**
   * Reserves, replacing what this uid had, within what the controller promises here by now.
   *
   * @throws RejectedException there is no room
   */
  synchronized void reserve(Assignment assignment) throws RejectedException {
    String uid = assignment.getUid();
    NodeResources most = assignment.hasPromisable() ? assignment.getPromisable() : capacity;
    Share share = Share.of(assignment.getSpec());
    Share others = sumWithout(uid);
    if (others.cpuMilli + share.cpuMilli > most.getCpuMilli()) {
      throw exhausted(
          "spec.vcpus",
          "%d thousandths of a CPU".formatted(share.cpuMilli),
          most.getCpuMilli() - others.cpuMilli,
          most.getCpuMilli());
    }
    if (others.memoryMib + share.memoryMib > most.getMemoryMib()) {
      throw exhausted(
          "spec.memory_mib",
          "%d MiB".formatted(share.memoryMib),
          most.getMemoryMib() - others.memoryMib,
          most.getMemoryMib());
    }
    shares.put(uid, share);
  }

  /** Counts what runs already, room or not. */
  synchronized void count(String uid, MicroVmSpec spec) {
    shares.put(uid, Share.of(spec));
  }

  synchronized void release(String uid) {
    shares.remove(uid);
  }

  private Share sumWithout(String uid) {
    long cpuMilli = 0;
    long memoryMib = 0;
    for (Map.Entry<String, Share> entry : shares.entrySet()) {
      if (!entry.getKey().equals(uid)) {
        cpuMilli += entry.getValue().cpuMilli;
        memoryMib += entry.getValue().memoryMib;
      }
    }
    return new Share(cpuMilli, memoryMib);
  }

  private static RejectedException exhausted(String field, String wanted, long free, long of) {
    return new RejectedException(
        ErrorReason.NODE_RESOURCES_EXHAUSTED,
        field,
        "%s: %d of the node's %d are free".formatted(wanted, free, of));
  }
}
