package dev.vireo.cli;

import static java.util.Objects.requireNonNull;

import dev.vireo.proto.v1.Limits;
import dev.vireo.proto.v1.MemoryBacking;
import dev.vireo.proto.v1.MicroVmSpec;
import java.math.BigDecimal;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** How much of its node a microVM has. */
final class ResourceOptions {
  /** What the guest's memory is to the node. */
  enum MemoryKind {
    ANONYMOUS,
    SHARED,
    HUGE_PAGES;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  @Spec(Spec.Target.MIXEE)
  private @Nullable CommandSpec command;

  @Option(
      names = "--vcpus",
      paramLabel = "COUNT",
      defaultValue = "1",
      description = "Default: ${DEFAULT-VALUE}.")
  private int vcpus = 1;

  @Option(
      names = "--cpu-limit",
      paramLabel = "CPUS",
      description = "The most CPU time it may take of its node, 0.01 to 64. Default: no limit.")
  private @Nullable BigDecimal cpuLimit;

  @Option(
      names = "--cpu-weight",
      paramLabel = "WEIGHT",
      description = "Its share of a busy node's CPU time, 1 to 10,000. Default: 100 for each vCPU.")
  private int cpuWeight;

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      defaultValue = "256",
      converter = Converters.Memory.class,
      description = "MiB, or with a unit: 512M, 2G. Default: ${DEFAULT-VALUE}.")
  private long memoryMib = 256;

  @Option(
      names = "--memory-backing",
      paramLabel = "KIND",
      defaultValue = "anonymous",
      description =
          "What the guest's memory is to the node: ${COMPLETION-CANDIDATES}. Default:"
              + " ${DEFAULT-VALUE}; shared can be mapped by another process, huge pages are those"
              + " that the node has set aside.")
  private MemoryKind memoryBacking = MemoryKind.ANONYMOUS;

  /** Sets them in a spec. */
  void addTo(MicroVmSpec.Builder spec) {
    spec.setVcpus(vcpus)
        .setMemoryMib(memoryMib)
        .setMemoryBacking(
            switch (memoryBacking) {
              case ANONYMOUS -> MemoryBacking.MEMORY_ANONYMOUS;
              case SHARED -> MemoryBacking.MEMORY_SHARED;
              case HUGE_PAGES -> MemoryBacking.MEMORY_HUGE_PAGES;
            });
    if (cpuLimit != null || cpuWeight != 0) {
      spec.setLimits(limits());
    }
  }

  private Limits limits() {
    Limits.Builder limits = Limits.newBuilder().setCpuWeight(cpuWeight);
    if (cpuLimit != null) {
      limits.setCpuMilli(milli(cpuLimit));
    }
    return limits.build();
  }

  /** One of 0 would mean none at all. */
  private int milli(BigDecimal cpus) {
    try {
      int milli = cpus.movePointRight(3).intValueExact();
      if (milli > 0) {
        return milli;
      }
    } catch (ArithmeticException e) {
      // Not whole, or out of range.
    }
    throw new ParameterException(
        requireNonNull(command).commandLine(),
        "--cpu-limit is 0.01 to 64, in thousandths, not " + cpus);
  }
}
