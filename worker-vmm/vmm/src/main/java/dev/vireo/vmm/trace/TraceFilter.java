package dev.vireo.vmm.trace;

/**
 * What somebody wants to see.
 *
 * @param exits of vCPUs to user space
 * @param requests of devices
 * @param device only this one's, by its id; empty for all
 * @param slowerThanNanos only what took at least this long
 */
public record TraceFilter(boolean exits, boolean requests, String device, long slowerThanNanos) {
  /** Whether this device's requests and registers are wanted. */
  public boolean wantsDevice(String id) {
    return device.isEmpty() || device.equals(id);
  }

  /**
   * Whether something that took so long is wanted.
   *
   * @param nanos negative if that is not known
   */
  public boolean wantsDuration(long nanos) {
    return slowerThanNanos == 0 || nanos >= slowerThanNanos;
  }
}
