package dev.vireo.worker.cgroup;

import dev.vireo.proto.v1.MicroVmSpec;
import java.util.OptionalLong;

/**
 * What a microVM's VMM may take of its node, vCPUs, devices and all.
 *
 * @param cpuMilli thousandths of a CPU's time; empty: what there is
 * @param cpuWeight against others when there is not enough, 1 to 10,000
 * @param memoryBytes of the guest and of the VMM itself
 */
public record Limits(OptionalLong cpuMilli, long cpuWeight, long memoryBytes) {
  private static final long MIB = 1 << 20;

  /**
   * For the VMM itself: a Java program of some 30 to 90 MiB, its page tables, and what the kernel
   * keeps for its sockets and files. With room to spare: what goes beyond it ends the guest.
   */
  private static final long VMM_BYTES = 256 * MIB;

  /** Page tables for the guest's memory, once for the VMM and once for KVM, are 1/256 of it. */
  private static final int PAGE_TABLES = 128;

  private static final long WEIGHT_OF_A_VCPU = 100;
  private static final long MOST_WEIGHT = 10_000;

  /** As the spec has it, which has been checked. */
  public static Limits of(MicroVmSpec spec) {
    long guestBytes = (spec.getMemoryMib() + spec.getMemoryHotplug().getMaximumMib()) * MIB;
    long weight = Integer.toUnsignedLong(spec.getLimits().getCpuWeight());
    long milli = Integer.toUnsignedLong(spec.getLimits().getCpuMilli());
    return new Limits(
        milli == 0 ? OptionalLong.empty() : OptionalLong.of(milli),
        weight == 0 ? Math.min(MOST_WEIGHT, WEIGHT_OF_A_VCPU * spec.getVcpus()) : weight,
        guestBytes + guestBytes / PAGE_TABLES + VMM_BYTES);
  }
}
