package dev.vireo.controller.lifecycle;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.MicroVmState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

final class TransitionsTest {
  private static final Path DOCUMENT = Path.of("LIFECYCLE.md");

  static Stream<MicroVmState> states() {
    return Arrays.stream(MicroVmState.values())
        .filter(state -> state != MicroVmState.UNRECOGNIZED)
        .filter(state -> state != MicroVmState.MICRO_VM_STATE_UNSPECIFIED);
  }

  @Test
  void documentAndCodeAreTheSame() throws IOException {
    String document = Files.readString(DOCUMENT);
    for (String table :
        List.of(Transitions.toMarkdown(), Steering.toMarkdown(), Reasons.toMarkdown())) {
      assertTrue(
          document.contains(table),
          () -> "copy this table into controller/LIFECYCLE.md:\n" + table);
    }
  }

  @ParameterizedTest
  @MethodSource("states")
  void toStayIsAlwaysLegal(MicroVmState state) {
    assertTrue(Transitions.isLegal(state, state));
  }

  @ParameterizedTest
  @MethodSource("states")
  void everyStateButTheLastCanBeDeleted(MicroVmState state) {
    assertTrue(Transitions.isLegal(state, MicroVmState.DELETING));
  }

  @ParameterizedTest
  @MethodSource("states")
  void fromDeletingThereIsNoWayBack(MicroVmState state) {
    assertEquals(state == MicroVmState.DELETING, Transitions.isLegal(MicroVmState.DELETING, state));
  }

  @ParameterizedTest
  @MethodSource("states")
  void everyStateIsReachedFromTheFirst(MicroVmState state) {
    Set<MicroVmState> reached = EnumSet.of(MicroVmState.PENDING);
    boolean grew = true;
    while (grew) {
      grew = false;
      for (MicroVmState from : EnumSet.copyOf(reached)) {
        grew |= reached.addAll(states().filter(to -> Transitions.isLegal(from, to)).toList());
      }
    }
    assertTrue(reached.contains(state));
  }

  @ParameterizedTest
  @MethodSource("states")
  void everyStateButTheLastCanRunAgain(MicroVmState state) {
    Set<MicroVmState> reached = EnumSet.of(state);
    for (int step = 0; step < MicroVmState.values().length; step++) {
      for (MicroVmState from : EnumSet.copyOf(reached)) {
        reached.addAll(states().filter(to -> Transitions.isLegal(from, to)).toList());
      }
    }
    assertEquals(state != MicroVmState.DELETING, reached.contains(MicroVmState.RUNNING));
  }

  /** Its guest has ended, was started again, and paused: the states between may not be told. */
  @ParameterizedTest
  @EnumSource(names = {"STARTING", "RUNNING", "STOPPING", "STOPPED", "FAILED"})
  void whateverItWasItMayBePausedByNow(MicroVmState state) {
    assertTrue(Transitions.isLegal(state, MicroVmState.PAUSED));
  }

  @Test
  void nothingRunsBeforeItWasPlaced() {
    assertFalse(Transitions.isLegal(MicroVmState.PENDING, MicroVmState.RUNNING));
    assertFalse(Transitions.isLegal(MicroVmState.PENDING, MicroVmState.FAILED));
  }
}
