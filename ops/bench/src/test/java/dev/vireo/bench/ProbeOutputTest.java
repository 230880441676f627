package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ProbeOutputTest {
  @Test
  void readsValuesAndTheVerdict() {
    ProbeOutput output = ProbeOutput.parse("probe: started\nops=12\niops=3400\nprobe: passed\n");

    assertEquals(3400, output.number("iops"));
    assertTrue(output.ended());
    assertTrue(output.passed());
  }

  @Test
  void halfOfTheOutputHasNoVerdict() {
    assertFalse(ProbeOutput.parse("probe: started\nops=12\nprobe: pas").ended());
  }

  @Test
  void aFailureKeepsTheReason() {
    ProbeOutput output =
        ProbeOutput.parse("probe: started\nerror=no such block device\nprobe: failed\n");

    assertTrue(output.ended());
    var failure = assertThrows(IllegalStateException.class, output::requirePassed);
    assertTrue(failure.toString().contains("no such block device"));
  }

  @Test
  void aMissingNumberIsNamed() {
    var failure =
        assertThrows(
            IllegalStateException.class, () -> ProbeOutput.parse("ops=12\n").number("iops"));
    assertTrue(failure.toString().contains("iops"));
  }
}
