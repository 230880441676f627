package dev.vireo.sim;

import static dev.vireo.sim.Invariants.require;

import dev.vireo.controller.store.Change;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.store.SimDisk;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * What a commit must keep to that makes a microVM (quota.proto): with it, the project has no more
 * than its quota allows for. A quota may be set lower than what there is, and a create that was
 * checked before that may come after it.
 */
final class QuotaRules {
  /** From a create's check to its commit: the store may be slow. */
  private static final Duration DECISION = Duration.ofSeconds(20);

  private final Simulation simulation;
  private final SimDisk disk;
  private final List<InForce> quotas = new ArrayList<>(List.of(InForce.sinceEver()));

  /** Limits, and when others took their place. */
  private record InForce(QuotaSpec limits, long untilNanos) {
    /** No limits. */
    static InForce sinceEver() {
      return of(QuotaSpec.getDefaultInstance());
    }

    static InForce of(QuotaSpec limits) {
      return new InForce(limits, Long.MAX_VALUE);
    }

    boolean allows(List<MicroVmSpec> microVms) {
      return (!limits.hasMicrovms() || microVms.size() <= limits.getMicrovms())
          && (!limits.hasVcpus()
              || microVms.stream().mapToLong(MicroVmSpec::getVcpus).sum() <= limits.getVcpus())
          && (!limits.hasMemoryMib()
              || microVms.stream().mapToLong(MicroVmSpec::getMemoryMib).sum()
                  <= limits.getMemoryMib());
    }
  }

  QuotaRules(Simulation simulation, SimDisk disk) {
    this.simulation = simulation;
    this.disk = disk;
  }

  /** The project's quota is another one now. */
  void set(QuotaSpec limits) {
    quotas.addLast(new InForce(quotas.removeLast().limits, simulation.nanos()));
    quotas.addLast(InForce.of(limits));
  }

  /** Looks at a commit that has made a microVM. */
  void created(Change.Updated change) {
    quotas.removeIf(quota -> quota.untilNanos < simulation.nanos() - DECISION.toNanos());
    List<MicroVmSpec> microVms =
        Records.all(disk).stream().map(record -> record.getMicrovm().getSpec()).toList();
    require(
        quotas.stream().anyMatch(quota -> quota.allows(microVms)),
        () ->
            "%s is made, and with it there is more than the quota allows: %d microVMs of %d MiB in all, of %s"
                .formatted(
                    change.key(),
                    microVms.size(),
                    microVms.stream().mapToLong(MicroVmSpec::getMemoryMib).sum(),
                    quotas));
  }
}
