package dev.vireo.vmm.virtio.mmio;

import dev.vireo.linux.EventFd;
import java.lang.invoke.VarHandle;

/**
 * The registers of {@link RegisterAccess#LAZY} mode. KVM takes an acknowledgement of used buffers
 * alone, the write of 1: it signals an eventfd, and the bit is cleared when somebody looks there.
 * Every other acknowledgement exits, so the configuration's bit is as exact as ever.
 *
 * <p>What must not happen is that an old acknowledgement clears the bit of a new event, for then
 * the driver takes the interrupt for somebody else's and sleeps on. So {@link #setPending} first
 * takes what is in the eventfd, when the new buffer has already been published in the used ring. An
 * acknowledgement that is found later was also written later, and its driver looks at the used ring
 * after that: it has to with any device, since an acknowledgement is one of all that came before
 * it.
 */
public class LazyInterruptRegisters extends InterruptRegisters {
  private final EventFd acknowledgements;

  /**
   * @param acknowledgements signalled by KVM for the driver's write of 1 to InterruptACK;
   *     non-blocking
   */
  public LazyInterruptRegisters(RegisterPage page, EventFd interrupt, EventFd acknowledgements) {
    super(RegisterAccess.LAZY, page, interrupt);
    this.acknowledgements = acknowledgements;
  }

  final EventFd acknowledgements() {
    return acknowledgements;
  }

  @Override
  void setPending(int bit) {
    VarHandle.fullFence(); // between publishing the used index and looking for acknowledgements
    synchronized (page()) {
      takeAcknowledgements();
      super.setPending(bit);
    }
  }

  /** With the eventfd's, which would otherwise be taken for one of an event yet to come. */
  @Override
  void acknowledge(int bits) {
    synchronized (page()) {
      takeAcknowledgements();
      super.acknowledge(bits);
    }
  }

  @Override
  void reset() {
    synchronized (page()) {
      takeAcknowledgements();
      super.reset();
    }
  }

  /** Clears the used buffer's bit if KVM has taken an acknowledgement of it. */
  final void takeAcknowledgements() {
    synchronized (page()) {
      if (acknowledgements.drain()) {
        page().clearBits(Register.INTERRUPT_STATUS, USED_BUFFER);
      }
    }
  }
}
