package dev.vireo.vmm.virtio.mmio;

/** How a driver's reads of registers and its acknowledgements of interrupts reach the device. */
public enum RegisterAccess {
  /**
   * From its own memory, without an exit; KVM takes acknowledgements of used buffers, and the
   * device hears of them later. InterruptStatus may still show such a bit for a millisecond after
   * it was acknowledged. An interrupt costs no exit to user space. For edge-triggered lines only.
   */
  LAZY,
  /** From its own memory; acknowledgements exit, and have taken effect when they return. */
  STRICT,
  /** By exits, both of them, as in every other virtio-mmio VMM. */
  CLASSIC
}
