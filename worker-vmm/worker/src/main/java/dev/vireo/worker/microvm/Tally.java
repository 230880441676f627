package dev.vireo.worker.microvm;

import dev.vireo.proto.vmm.v1.DeviceCounters;
import dev.vireo.proto.vmm.v1.InspectRequest;
import dev.vireo.proto.vmm.v1.QueueCounters;
import dev.vireo.proto.vmm.v1.VmmInspection;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.worker.v1.NodeCounter;
import dev.vireo.proto.worker.v1.NodeCounter.Kind;
import dev.vireo.worker.vmm.Vmm;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * What all microVMs of this node have counted since this worker began. VMMs are asked from time to
 * time, and once more when their guests have ended; what they counted stays in the sums. Of one
 * that is killed, what came after its last answer is lost. Thread-safe.
 */
public final class Tally {
  private static final long ANSWER_WITHIN_SECONDS = 5;
  private static final String REGISTERS = "mmio.";

  private record Key(Kind kind, String model, String name) implements Comparable<Key> {
    @Override
    public int compareTo(Key other) {
      int byKind = kind.compareTo(other.kind);
      int byModel = byKind != 0 ? byKind : model.compareTo(other.model);
      return byModel != 0 ? byModel : name.compareTo(other.name);
    }
  }

  private final Map<Key, Long> sums = new TreeMap<>();
  private final Map<String, Map<Key, Long>> lastOf = new HashMap<>();
  private final Set<String> asked = new HashSet<>();

  /**
   * Asks a VMM, unless its answer to the last question is still awaited.
   *
   * @return done when there is an answer, or will be none; never fails
   */
  public CompletableFuture<Void> ask(Vmm vmm) {
    synchronized (this) {
      if (!asked.add(vmm.id())) {
        return CompletableFuture.completedFuture(null);
      }
      lastOf.putIfAbsent(vmm.id(), Map.of());
    }
    return vmm.request(
            VmmRequest.newBuilder().setInspect(InspectRequest.newBuilder().setCountersOnly(true)),
            List.of())
        .orTimeout(ANSWER_WITHIN_SECONDS, TimeUnit.SECONDS)
        .handle((response, failure) -> {
          hear(vmm.id(), failure == null ? response : VmmResponse.getDefaultInstance());
          return null;
        });
  }

  private synchronized void hear(String vmm, VmmResponse response) {
    asked.remove(vmm);
    Map<Key, Long> last = lastOf.get(vmm);
    if (last == null || !response.hasInspection()) {
      return; // It has ended, or could not say.
    }
    Map<Key, Long> now = new HashMap<>();
    count(response.getInspection(), now);
    now.forEach((key, value) -> {
      long growth = value - last.getOrDefault(key, 0L);
      if (growth > 0) {
        sums.merge(key, growth, Long::sum);
      }
    });
    lastOf.put(vmm, now);
  }

  /** The process has ended, and its id is never used again. */
  public synchronized void forget(Vmm vmm) {
    lastOf.remove(vmm.id());
    asked.remove(vmm.id());
  }

  private static void count(VmmInspection inspection, Map<Key, Long> into) {
    Map<String, Long> exits = new HashMap<>(inspection.getExitsMap());
    for (DeviceCounters device : inspection.getDevicesList()) {
      String prefix = REGISTERS + device.getId() + ".";
      inspection
          .getExitsMap()
          .forEach((cause, count) -> {
            if (cause.startsWith(prefix) && exits.remove(cause) != null) {
              String register = cause.substring(prefix.length());
              add(into, Kind.REGISTER_EXITS, device.getModel(), register, count);
            }
          });
      count(device, into);
    }
    exits.forEach((cause, count) -> add(into, Kind.EXITS, "", cause, count));
  }

  private static void count(DeviceCounters device, Map<Key, Long> into) {
    String model = device.getModel();
    for (QueueCounters queue : device.getQueuesList()) {
      add(into, Kind.NOTIFICATIONS, model, "", queue.getNotifications());
      add(into, Kind.INTERRUPTS, model, "", queue.getInterrupts());
      add(into, Kind.INTERRUPTS_SUPPRESSED, model, "", queue.getInterruptsSuppressed());
      add(into, Kind.REQUESTS, model, "", queue.getRequests());
    }
    device.getCountersMap().forEach((name, count) -> add(into, Kind.DEVICE, model, name, count));
  }

  private static void add(Map<Key, Long> into, Kind kind, String model, String name, long count) {
    into.merge(new Key(kind, model, name), count, Long::sum);
  }

  /** Counts what a service of this worker's for its guests has seen happen once more. */
  public synchronized void count(String service, String event) {
    add(sums, Kind.SERVICE, service, event, 1);
  }

  /** The sums as they are now, in an order that stays. */
  public synchronized List<NodeCounter> counters() {
    return sums.entrySet().stream()
        .map(entry ->
            NodeCounter.newBuilder()
                .setKind(entry.getKey().kind())
                .setModel(entry.getKey().model())
                .setName(entry.getKey().name())
                .setValue(entry.getValue())
                .build())
        .toList();
  }
}
