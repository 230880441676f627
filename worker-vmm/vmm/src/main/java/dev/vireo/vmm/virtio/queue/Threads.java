package dev.vireo.vmm.virtio.queue;

/** How the threads end that serve queues. */
public final class Threads {
  private Threads() {}

  /**
   * Waits until a thread that was told to end has done so, however often the caller is interrupted:
   * the memory that it uses goes after this, so there is no leaving early. An interrupt is kept.
   */
  public static void awaitEnd(Thread thread) {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
