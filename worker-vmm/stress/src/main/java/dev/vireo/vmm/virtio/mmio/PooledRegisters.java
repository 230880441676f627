package dev.vireo.vmm.virtio.mmio;

import dev.vireo.linux.EventFd;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * A register page and its eventfds, used again and again: JCStress makes more states than there are
 * descriptors. The driver's accesses are loads from the page and, for KVM's part, a signal of the
 * eventfd.
 */
final class PooledRegisters {
  private static final ConcurrentLinkedQueue<PooledRegisters> FREE = new ConcurrentLinkedQueue<>();
  private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();

  private final RegisterPage page = new RegisterPage();
  private final EventFd interrupt = EventFd.nonBlocking();
  private final EventFd acknowledgements = EventFd.nonBlocking();
  private final LazyInterruptRegisters lazy =
      new LazyInterruptRegisters(page, interrupt, acknowledgements);

  private PooledRegisters() {}

  static PooledRegisters take() {
    PooledRegisters free = FREE.poll();
    return free == null ? new PooledRegisters() : free;
  }

  void giveBack() {
    lazy.reset();
    boolean _ = interrupt.drain();
    FREE.add(this);
  }

  LazyInterruptRegisters lazy() {
    return lazy;
  }

  /** What one writes first: sets the bit without a look for acknowledgements that came before. */
  void raiseNaively() {
    page.setBits(Register.INTERRUPT_STATUS, InterruptRegisters.USED_BUFFER);
    interrupt.signal();
  }

  /** The driver's load of InterruptStatus. */
  int status() {
    return (int) INT.getVolatile(page.shown(), (long) Register.INTERRUPT_STATUS);
  }

  /** The driver's store of 1 to InterruptACK, which KVM takes. */
  void acknowledge() {
    acknowledgements.signal();
  }
}
