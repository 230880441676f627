package dev.vireo.controller.quota;

import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.QuotaStatus;
import java.util.ArrayList;
import java.util.List;

/**
 * A part of a project's quota.
 *
 * @param memoryMib MiB
 */
record Share(long microVms, long vcpus, long memoryMib) {
  static final Share NONE = new Share(0, 0, 0);

  /** What a microVM takes up for as long as it exists. */
  static Share of(MicroVmSpec spec) {
    return new Share(
        1, spec.getVcpus(), spec.getMemoryMib() + spec.getMemoryHotplug().getMaximumMib());
  }

  Share plus(Share other) {
    return new Share(microVms + other.microVms, vcpus + other.vcpus, memoryMib + other.memoryMib);
  }

  Share minus(Share other) {
    return new Share(microVms - other.microVms, vcpus - other.vcpus, memoryMib - other.memoryMib);
  }

  QuotaStatus toStatus() {
    return QuotaStatus.newBuilder()
        .setMicrovms((int) microVms)
        .setVcpus(vcpus)
        .setMemoryMib(memoryMib)
        .build();
  }

  /** What of these limits one more would exceed, beside this, in words. */
  List<String> exceeded(QuotaSpec limits, Share more) {
    List<String> exceeded = new ArrayList<>();
    if (limits.hasMicrovms()) {
      check(
          "microVMs",
          microVms,
          more.microVms,
          Integer.toUnsignedLong(limits.getMicrovms()),
          exceeded);
    }
    if (limits.hasVcpus()) {
      check("vCPUs", vcpus, more.vcpus, limits.getVcpus(), exceeded);
    }
    if (limits.hasMemoryMib()) {
      check("MiB of memory", memoryMib, more.memoryMib, limits.getMemoryMib(), exceeded);
    }
    return exceeded;
  }

  private static void check(String what, long used, long more, long limit, List<String> exceeded) {
    if (used + more > limit) {
      exceeded.add("%d %s of %d are in use, %d more are wanted".formatted(used, what, limit, more));
    }
  }
}
