package dev.vireo.cli;

import dev.vireo.proto.v1.Lifecycle;
import java.time.Duration;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What becomes of a microVM by itself. */
final class LifecycleOptions {
  /** What happens when a guest has ended. */
  enum Restart {
    NEVER,
    ON_FAILURE,
    ALWAYS;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** What becomes of it when it must leave its node, or loses it. */
  enum NodeLoss {
    FAIL,
    RESCHEDULE;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  @Option(
      names = "--restart",
      paramLabel = "POLICY",
      defaultValue = "never",
      description = "${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
  private Restart restart = Restart.NEVER;

  @Option(
      names = "--on-node-loss",
      paramLabel = "POLICY",
      defaultValue = "fail",
      description =
          "When its node is drained or lost for good: ${COMPLETION-CANDIDATES}. Default:"
              + " ${DEFAULT-VALUE}; reschedule begins anew elsewhere, with new copies of the"
              + " image's disks.")
  private NodeLoss onNodeLoss = NodeLoss.FAIL;

  @Option(
      names = "--ttl",
      paramLabel = "TIME",
      description = "Delete it this long after its creation: 90s, 5m, 1h.")
  private @Nullable Duration ttl;

  @Option(
      names = "--max-run-time",
      paramLabel = "TIME",
      description = "Stop it once it has run this long in all; it is FAILED then.")
  private @Nullable Duration maxRunTime;

  @Option(
      names = "--idle-timeout",
      paramLabel = "TIME",
      description =
          "Stop it once no exec, cp, port-forward or the like has been open for this long.")
  private @Nullable Duration idleTimeout;

  /** Whether its guest is started again in some case. */
  boolean mayRestart() {
    return restart != Restart.NEVER;
  }

  /** As they were given. */
  Lifecycle lifecycle() {
    Lifecycle.Builder lifecycle =
        Lifecycle.newBuilder()
            .setRestartPolicy(
                switch (restart) {
                  case NEVER -> Lifecycle.RestartPolicy.NEVER;
                  case ON_FAILURE -> Lifecycle.RestartPolicy.ON_FAILURE;
                  case ALWAYS -> Lifecycle.RestartPolicy.ALWAYS;
                });
    if (onNodeLoss == NodeLoss.RESCHEDULE) {
      lifecycle.setOnNodeLoss(Lifecycle.NodeLoss.NODE_LOSS_RESCHEDULE);
    }
    if (ttl != null) {
      lifecycle.setTtl(Converters.proto(ttl));
    }
    if (maxRunTime != null) {
      lifecycle.setMaxRunTime(Converters.proto(maxRunTime));
    }
    if (idleTimeout != null) {
      lifecycle.setIdleTimeout(Converters.proto(idleTimeout));
    }
    return lifecycle.build();
  }
}
