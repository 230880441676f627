package dev.vireo.vmm.virtio.mmio;

import dev.vireo.linux.EventFd;

/**
 * A device's InterruptStatus and InterruptACK, and the interrupt that goes with them (VIRTIO 1.2,
 * sections 4.2.2 and 4.2.3.4). A bit stays from its event to its acknowledgement; an
 * acknowledgement is bitwise, and may leave bits; reading changes nothing.
 *
 * <p>Here every acknowledgement exits, and has taken effect when it returns. Any thread may call.
 */
public class InterruptRegisters implements AutoCloseable {
  static final int USED_BUFFER = 1;
  static final int CONFIGURATION_CHANGE = 2;

  private final RegisterAccess access;
  private final RegisterPage page;
  private final EventFd interrupt;

  /**
   * @param access {@link RegisterAccess#STRICT} or {@link RegisterAccess#CLASSIC}
   * @param page with the register; closed with this
   * @param interrupt raises an edge on the device's line
   */
  public InterruptRegisters(RegisterAccess access, RegisterPage page, EventFd interrupt) {
    this.access = access;
    this.page = page;
    this.interrupt = interrupt;
  }

  /** How the driver gets at them. */
  public final RegisterAccess access() {
    return access;
  }

  final RegisterPage page() {
    return page;
  }

  /**
   * Tells the driver of an event. For {@link #USED_BUFFER} the used ring's index has been
   * published. The bit comes first: who takes the interrupt finds it set.
   */
  final void raise(int bit) {
    setPending(bit);
    interrupt.signal();
  }

  void setPending(int bit) {
    page.setBits(Register.INTERRUPT_STATUS, bit);
  }

  /** The driver's write of {@code bits} to InterruptACK has exited. */
  void acknowledge(int bits) {
    page.clearBits(Register.INTERRUPT_STATUS, bits);
  }

  /** No event is pending any more. */
  void reset() {
    page.set(Register.INTERRUPT_STATUS, 0);
  }

  /** The guest must not run any more. */
  @Override
  public void close() {
    page.close();
  }
}
