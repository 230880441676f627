package dev.vireo.controller.session;

import dev.vireo.proto.worker.v1.MicroVmReport;

/** What sessions tell the rest of the controller. Nothing here blocks but where it is said. */
public interface NodeEvents {
  /** A worker's word about one microVM. */
  void reported(String nodeId, MicroVmReport report);

  /** A microVM that is to be deleted is not on its node (any more). */
  void absent(String nodeId, String uid);

  /** The node has come, or come back. */
  void nodeChanged(String nodeId);

  /**
   * The node has another worker, which knows nothing of what its predecessor ran. Returns when that
   * is durably lost.
   */
  void workerReplaced(String nodeId);
}
