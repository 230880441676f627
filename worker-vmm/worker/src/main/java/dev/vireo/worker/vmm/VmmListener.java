package dev.vireo.worker.vmm;

import dev.vireo.proto.vmm.v1.VmmStatus;

/** Hears of one VMM, in order, from one thread at a time; returns at once. */
public interface VmmListener {
  /** The VMM's state changed. */
  void onStatus(VmmStatus status);

  /** The process has ended; nothing more will come. */
  void onExit(VmmExit exit);
}
