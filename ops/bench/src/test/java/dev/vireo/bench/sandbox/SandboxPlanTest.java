package dev.vireo.bench.sandbox;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

final class SandboxPlanTest {
  @Test
  void allIsMeasuredUnlessSomethingIsNamed() {
    assertTrue(SandboxPlan.QUICK.wants(SandboxRun.RUN));
    assertTrue(SandboxPlan.QUICK.only("root").wants(SandboxRun.FORMATS));
    assertFalse(SandboxPlan.QUICK.only("root").wants(SandboxRun.RUN));
  }
}
