package dev.vireo.vmm.virtio.queue;

/**
 * How long a device thread watches a ring that has run empty before it sleeps. Where the driver's
 * next request comes within the time that falling asleep and being woken take, watching costs less
 * than sleeping, for both sides: the driver need not notify. Where it comes later, the thread
 * sleeps at once. What tells one from the other is how long the last sleep was, as KVM does it for
 * a vCPU that halts (halt_poll_ns, Documentation/virt/kvm/halt-polling.rst).
 *
 * <p>For one thread.
 */
final class Lookout {
  /**
   * What falling asleep and being woken take two threads and a vCPU, where the processors are
   * virtual themselves: there a read of 4 KiB at depth 1 took 45 µs, and 16 once it was watched for
   * ({@code vireo bench devices}, 22,374 and 61,289 a second).
   */
  static final long USUAL_NANOS = 50_000;

  private static final int FIRST_PART = 5;

  private final long longestNanos;
  private long nanos;

  /**
   * @param longestNanos a sleep that was longer would not have been spared by watching; 0 to watch
   *     nobody
   */
  Lookout(long longestNanos) {
    this.longestNanos = longestNanos;
  }

  /** From 0, which is not at all, to the longest. */
  long nanos() {
    return nanos;
  }

  /** The thread slept for so long, until the driver notified. */
  void slept(long sleptNanos) {
    nanos =
        sleptNanos > longestNanos
            ? 0
            : Math.clamp(2 * nanos, longestNanos / FIRST_PART, longestNanos);
  }
}
