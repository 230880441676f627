package dev.vireo.vmm.virtio.vsock;

/**
 * What the worker was asked to connect to and has not answered, whichever activation of the device
 * asked: the answers come after a reset too, and must not be taken for those of a later one. For
 * one thread at a time.
 */
final class Questions {
  /** More wait at the device, so that asking never blocks. */
  private static final int MOST = 64;

  private int open;
  private int generation;

  boolean mayAsk() {
    return open < MOST;
  }

  void asked() {
    open++;
  }

  void answered() {
    open = Math.max(0, open - 1);
  }

  /** There will be no more answers. */
  void workerLost() {
    open = 0;
  }

  /** Of the connections of an activation that begins: no key of theirs was asked about before. */
  int firstGeneration() {
    return generation;
  }

  /** An activation has ended. */
  void generationsUsed(int next) {
    generation = next;
  }
}
