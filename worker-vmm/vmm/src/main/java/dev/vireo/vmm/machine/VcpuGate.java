package dev.vireo.vmm.machine;

/**
 * What all vCPU threads are to do: run, wait while paused, or end. A thread looks at {@link
 * #isOpen} before every KVM_RUN, with its kick signal blocked, and whoever closes the gate kicks
 * afterwards: so either the thread sees the gate closed, or the kick is pending when it enters
 * KVM_RUN.
 */
final class VcpuGate {
  private enum Target {
    RUN,
    PAUSE,
    END
  }

  /** Makes every vCPU thread leave KVM_RUN. */
  interface Kicker {
    void kickAll();
  }

  private final Kicker kicker;
  private volatile Target target = Target.RUN;
  private int running;

  /**
   * @param vcpus how many threads there will be, all of them running
   */
  VcpuGate(int vcpus, Kicker kicker) {
    this.running = vcpus;
    this.kicker = kicker;
  }

  /** Whether a vCPU may enter the guest. */
  boolean isOpen() {
    return target == Target.RUN;
  }

  /**
   * Called by a vCPU thread that found the gate closed: waits while it is paused.
   *
   * @return false if the thread is to end
   */
  synchronized boolean pass() throws InterruptedException {
    running--;
    notifyAll();
    while (target == Target.PAUSE) {
      wait();
    }
    if (target == Target.END) {
      return false;
    }
    running++;
    return true;
  }

  /** Closes the gate and waits until every vCPU is out of the guest. */
  void pause() throws InterruptedException {
    synchronized (this) {
      if (target != Target.RUN) {
        return;
      }
      target = Target.PAUSE;
    }
    kicker.kickAll();
    synchronized (this) {
      while (running > 0 && target == Target.PAUSE) {
        wait();
      }
    }
  }

  /** Opens it again, unless the end has been called. */
  synchronized void resume() {
    if (target == Target.PAUSE) {
      target = Target.RUN;
      notifyAll();
    }
  }

  /** Sends every vCPU thread out for good. Does not wait: a vCPU thread may call it. */
  void end() {
    synchronized (this) {
      target = Target.END;
      notifyAll();
    }
    kicker.kickAll();
  }
}
