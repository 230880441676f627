package dev.vireo.vmm.virtio.input;

/** What an input device counts. */
enum InputEvent {
  /** An event in a buffer of the driver's. */
  EVENTS,
  /** An event for which the driver's buffer had no room: it is lost. */
  EVENTS_LOST,
  /** A status message of the driver's, about lamps and the like, which there are none of. */
  STATUS_IGNORED
}
