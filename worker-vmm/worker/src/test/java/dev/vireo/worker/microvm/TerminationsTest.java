package dev.vireo.worker.microvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.v1.Termination.Cause;
import dev.vireo.worker.time.ManualTime;
import org.junit.jupiter.api.Test;

/** What is kept and told of the ends of runs. */
class TerminationsTest {
  private final Terminations terminations = new Terminations(new ManualTime());

  /** It is in every list and report, and may be a guest's or its VMM's words. */
  @Test
  void aLongMessageIsCut() {
    assertEquals(
        "x".repeat(1_000), terminations.of(Cause.PROCESS_ENDED, "x".repeat(200_000)).getMessage());
    assertEquals("short", terminations.of(Cause.PROCESS_ENDED, "short").getMessage());
  }
}
