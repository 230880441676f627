package dev.vireo.worker.microvm;

import dev.vireo.worker.time.Time.Alarm;

/**
 * Where a microVM is on this node.
 *
 * <pre>
 *   Absent ──► Launching ──► Live ──► Finished ──► Removed
 *     ▲            │          │ ▲
 *     │ rejected   │          ▼ │
 *     └────────────┴──────► Waiting        Lapsed: found ended after a restart of the worker
 * </pre>
 */
sealed interface Phase {
  /** Nothing of it is here, or only what an earlier attempt has left. */
  record Absent() implements Phase {}

  /** A VMM is being found and given its orders. */
  record Launching(Run run) implements Phase {}

  /** A VMM has it: starts, runs, is paused, or stops. */
  record Live(Run run) implements Phase {}

  /** Ended, to be started again when the alarm goes off. */
  record Waiting(Alarm alarm) implements Phase {}

  /** Ended while its worker was away; what follows is for the controller to confirm. */
  record Lapsed() implements Phase {}

  /** Ended for good, unless a newer attempt is assigned. Its console and disks are kept. */
  record Finished() implements Phase {}

  /** Nothing of it is here any more, and nobody may use this object. */
  record Removed() implements Phase {}
}
