package dev.vireo.vmm.virtio;

import java.util.List;

/** The device status field (VIRTIO 1.2, section 2.1) and the way through it. */
public final class DeviceStatus {
  /** Not initialized; writing it resets the device. */
  public static final int RESET = 0;

  public static final int ACKNOWLEDGE = 1;
  public static final int DRIVER = 2;
  public static final int DRIVER_OK = 4;
  public static final int FEATURES_OK = 8;
  public static final int NEEDS_RESET = 64;
  public static final int FAILED = 128;

  /** One step of a driver's initialization. */
  public record Step(int from, int to) {}

  /**
   * Section 3.1.1: "The driver MUST follow this sequence to initialize a device: 1. Reset the
   * device. 2. Set the ACKNOWLEDGE status bit […]. 3. Set the DRIVER status bit […]. 5. Set the
   * FEATURES_OK status bit. […] 8. Set the DRIVER_OK status bit." Section 2.1.1: "The driver MUST
   * NOT clear a device status bit." So no step leaves one out, and none goes back.
   */
  private static final List<Step> STEPS =
      List.of(
          new Step(RESET, ACKNOWLEDGE),
          new Step(ACKNOWLEDGE, ACKNOWLEDGE | DRIVER),
          new Step(ACKNOWLEDGE | DRIVER, ACKNOWLEDGE | DRIVER | FEATURES_OK),
          new Step(
              ACKNOWLEDGE | DRIVER | FEATURES_OK, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK));

  private DeviceStatus() {}

  /** Whether a driver may go from one status to the other, NEEDS_RESET and FAILED left aside. */
  public static boolean isStep(int from, int to) {
    for (Step step : STEPS) { // contains() would make classes at run time, for the record's equals
      if (step.from == from && step.to == to) {
        return true;
      }
    }
    return false;
  }

  public static boolean has(int status, int bits) {
    return (status & bits) == bits;
  }
}
