package dev.vireo.controller.lifecycle;

import static dev.vireo.proto.v1.MicroVmState.DELETING;
import static dev.vireo.proto.v1.MicroVmState.FAILED;
import static dev.vireo.proto.v1.MicroVmState.PAUSED;
import static dev.vireo.proto.v1.MicroVmState.PENDING;
import static dev.vireo.proto.v1.MicroVmState.RUNNING;
import static dev.vireo.proto.v1.MicroVmState.SCHEDULED;
import static dev.vireo.proto.v1.MicroVmState.STARTING;
import static dev.vireo.proto.v1.MicroVmState.STOPPED;
import static dev.vireo.proto.v1.MicroVmState.STOPPING;

import dev.vireo.proto.v1.MicroVmState;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Which state may follow which.
 *
 * <p>Reports are coalesced, so a state that a microVM passes quickly may be left out: a step that
 * goes over several arrows of the plain picture is legal too. What is not in the table is a bug or
 * a worker's late word, and changes nothing. From every state there is a way on, and one to
 * DELETING.
 */
public final class Transitions {
  private static final Map<MicroVmState, Set<MicroVmState>> TABLE =
      new EnumMap<>(
          Map.of(
              // Placed; or stopped before it was.
              PENDING, EnumSet.of(SCHEDULED, STOPPED, DELETING),
              // The node has taken it, or refused it: for now (PENDING), or its spec (FAILED).
              SCHEDULED,
                  EnumSet.of(
                      PENDING, STARTING, RUNNING, PAUSED, STOPPING, STOPPED, FAILED, DELETING),
              // PENDING, here and below: its node is lost, and it goes to another.
              STARTING, EnumSet.of(PENDING, RUNNING, PAUSED, STOPPING, STOPPED, FAILED, DELETING),
              // STARTING again: its restart policy at work.
              RUNNING, EnumSet.of(PENDING, STARTING, PAUSED, STOPPING, STOPPED, FAILED, DELETING),
              PAUSED, EnumSet.of(PENDING, STARTING, RUNNING, STOPPING, STOPPED, FAILED, DELETING),
              // Back to SCHEDULED: started again before it had stopped. PENDING: it has left its
              // node.
              STOPPING,
                  EnumSet.of(
                      PENDING, SCHEDULED, STARTING, RUNNING, PAUSED, STOPPED, FAILED, DELETING),
              // Started again where it was (SCHEDULED), or, never placed, anywhere (PENDING).
              STOPPED, EnumSet.of(PENDING, SCHEDULED, STARTING, RUNNING, PAUSED, DELETING),
              FAILED, EnumSet.of(PENDING, SCHEDULED, STARTING, RUNNING, PAUSED, STOPPED, DELETING),
              // Gone is not a state.
              DELETING, EnumSet.noneOf(MicroVmState.class)));

  private Transitions() {}

  /** Whether {@code to} may follow {@code from}; to stay is always legal. */
  public static boolean isLegal(MicroVmState from, MicroVmState to) {
    return from == to || TABLE.getOrDefault(from, Set.of()).contains(to);
  }

  /** The table in Markdown. */
  static String toMarkdown() {
    StringBuilder table = new StringBuilder("| from | to |\n|---|---|\n");
    TABLE.forEach((from, to) ->
        table.append(
            "| `%s` | %s |\n"
                .formatted(
                    from,
                    to.isEmpty()
                        ? "(gone)"
                        : to.stream().map("`%s`"::formatted).collect(Collectors.joining(", ")))));
    return table.toString();
  }
}
