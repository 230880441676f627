package dev.vireo.worker.vmm;

import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VsockDial;

/** Hears of one VMM, in order, from one thread at a time; returns at once. */
public interface VmmListener {
  /** The VMM's state changed. */
  void onStatus(VmmStatus status);

  /** Its guest wants to connect to a port of the node. Who owns no microVM has no guest. */
  default void onDial(VsockDial dial) {}

  /** The process has ended; nothing more will come. */
  void onExit(VmmExit exit);
}
