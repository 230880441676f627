package dev.vireo.vmm.virtio.console;

/** When the device's thread has to look again though nothing has happened. */
final class Alarm {
  private static final long NANOS_PER_MILLI = 1_000_000;

  private long nanos = Long.MAX_VALUE;

  /** Nothing has to be looked at. */
  void clear() {
    nanos = Long.MAX_VALUE;
  }

  /** Something has to be looked at in {@code wait} nanoseconds. */
  void within(long wait) {
    nanos = Math.min(nanos, wait);
  }

  /** Milliseconds until the first of it, for {@code epoll_wait}; −1: never. */
  int millis() {
    return nanos == Long.MAX_VALUE
        ? -1
        : (int) Math.min(Math.ceilDiv(Math.max(nanos, 0), NANOS_PER_MILLI), Integer.MAX_VALUE);
  }
}
