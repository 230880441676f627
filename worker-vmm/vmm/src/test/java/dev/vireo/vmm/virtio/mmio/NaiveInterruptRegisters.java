package dev.vireo.vmm.virtio.mmio;

import dev.vireo.linux.EventFd;

/**
 * Lazy registers that do not look for old acknowledgements before they set a bit: what one writes
 * first. Loses interrupts; here to show that the tests would see it.
 */
public final class NaiveInterruptRegisters extends LazyInterruptRegisters {
  public NaiveInterruptRegisters(RegisterPage page, EventFd interrupt, EventFd acknowledgements) {
    super(page, interrupt, acknowledgements);
  }

  @Override
  void setPending(int bit) {
    page().setBits(Register.INTERRUPT_STATUS, bit);
  }
}
