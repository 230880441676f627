package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("kvm")
final class KvmProbeTest {
  @Test
  void aRealKvmHasWhatAVmmNeeds() {
    KvmProbe probe = KvmProbe.probe();
    assertEquals(12, probe.apiVersion());
    assertTrue(probe.usable());
    assertTrue(probe.maxVcpus() >= 1);
    assertTrue(probe.memorySlots() >= 32);
  }
}
