package dev.vireo.catalog;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class CommandLineAnnouncementTest {
  @Test
  void namesSizeAddressAndLineOfEachDevice() {
    assertEquals(
        "virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6",
        CommandLineAnnouncement.of(MmioPlan.X86_64.first(2)));
  }

  @Test
  void saysNothingWithoutDevices() {
    assertEquals("", CommandLineAnnouncement.of(MmioPlan.X86_64.first(0)));
  }
}
