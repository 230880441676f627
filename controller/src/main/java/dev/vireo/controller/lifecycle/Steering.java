package dev.vireo.controller.lifecycle;

import static dev.vireo.proto.v1.MicroVmState.FAILED;
import static dev.vireo.proto.v1.MicroVmState.PAUSED;
import static dev.vireo.proto.v1.MicroVmState.PENDING;
import static dev.vireo.proto.v1.MicroVmState.RUNNING;
import static dev.vireo.proto.v1.MicroVmState.SCHEDULED;
import static dev.vireo.proto.v1.MicroVmState.STARTING;
import static dev.vireo.proto.v1.MicroVmState.STOPPED;
import static dev.vireo.proto.v1.MicroVmState.STOPPING;

import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Sets;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import java.util.EnumSet;
import java.util.stream.Collectors;

/**
 * The four verbs that change a microVM's desired state, and the states in which each is allowed.
 */
public enum Steering {
  /** Allowed wherever there is something to stop, or to keep from starting again. */
  STOP(
      DesiredState.DESIRED_STOPPED,
      Sets.immutableEnumSet(
          PENDING, SCHEDULED, STARTING, RUNNING, PAUSED, STOPPING, STOPPED, FAILED)),
  /** Not for a paused one, which is resumed. */
  START(
      DesiredState.DESIRED_RUNNING,
      Sets.immutableEnumSet(PENDING, SCHEDULED, STARTING, RUNNING, STOPPING, STOPPED, FAILED)),
  PAUSE(DesiredState.DESIRED_PAUSED, Sets.immutableEnumSet(RUNNING, PAUSED)),
  RESUME(DesiredState.DESIRED_RUNNING, Sets.immutableEnumSet(RUNNING, PAUSED));

  private final DesiredState wish;
  private final ImmutableSet<MicroVmState> allowed;

  Steering(DesiredState wish, ImmutableSet<MicroVmState> allowed) {
    this.wish = wish;
    this.allowed = allowed;
  }

  public DesiredState wish() {
    return wish;
  }

  public ImmutableSet<MicroVmState> allowedStates() {
    return allowed;
  }

  public boolean isAllowed(MicroVm microVm) {
    return allowed.contains(microVm.getStatus().getState());
  }

  /** Whether it makes a microVM that has ended, or is about to, run anew. */
  public boolean startsAgain(MicroVm microVm) {
    return this == START
        && EnumSet.of(STOPPING, STOPPED, FAILED).contains(microVm.getStatus().getState());
  }

  /** The verbs in Markdown. */
  static String toMarkdown() {
    StringBuilder table =
        new StringBuilder("| verb | desired state | allowed in |\n|---|---|---|\n");
    for (Steering verb : values()) {
      table.append(
          "| %s | `%s` | %s |\n"
              .formatted(
                  verb,
                  verb.wish,
                  verb.allowed.stream().map("`%s`"::formatted).collect(Collectors.joining(", "))));
    }
    return table.toString();
  }
}
