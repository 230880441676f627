package dev.vireo.worker.vmm;

import dev.vireo.proto.vmm.v1.VmmStatus;

/**
 * Waits for a VMM that nobody wants any more, and removes what it leaves.
 *
 * @param then called after that
 */
record RemoveWhenEnded(Vmm vmm, Runnable then) implements VmmListener {
  @Override
  public void onStatus(VmmStatus status) {
    // It no longer matters.
  }

  @Override
  public void onExit(VmmExit exit) {
    vmm.remove();
    then.run();
  }
}
