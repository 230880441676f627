package dev.vireo.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.fuzz.Operation.Kind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A device whose threads sleep in rings is at rest when it has done all it can, not before. */
@Timeout(60)
class WatchedRingTest {
  private static final int ROUNDS = 2000;

  private final Target target = Target.named("block-io-uring");

  private static long answered(DeviceUnderTest device) {
    return device.inspect().queues().getFirst().requests();
  }

  private static void run(HostileGuest guest, Kind kind, int a, int b) {
    guest.run(new Operation(kind, a, b, 0, 0));
  }

  /** A signal is taken before it can be seen that it was: a moment at which all looks quiet. */
  @Test
  void noRestBeforeWhatWasNotifiedOfIsAnswered() {
    SeedsTest.assumeRunnable(target);
    try (DeviceUnderTest device = new DeviceUnderTest(target, "watched")) {
      HostileGuest guest = new HostileGuest(device, target.request(), new Scribbler(false));
      guest.begin();
      guest.useWell(device.offeredFeatures());
      for (int i = 0; i < ROUNDS; i++) {
        guest.requestWell(); // This looks for the answer once it is at rest.
      }
      assertEquals(1 + ROUNDS, answered(device));
    }
  }

  @Test
  void whatTheHostHoldsUpIsRestUntilItGoesOn() {
    SeedsTest.assumeRunnable(target);
    try (DeviceUnderTest device = new DeviceUnderTest(target, "watched")) {
      HostileGuest guest = new HostileGuest(device, target.request(), new Scribbler(false));
      guest.begin();
      guest.useWell(device.offeredFeatures());
      for (int i = 0; i < ROUNDS / 4; i++) {
        long before = answered(device);
        run(guest, Kind.HOST_FAULT, 0, Host.Fault.ALL.indexOf(Host.Fault.HELD));
        run(guest, Kind.REQUESTS, 3, 0);
        run(guest, Kind.NOTIFY, 0, 0);
        assertEquals(before, answered(device));
        run(guest, Kind.HOST_EVENT, 0, 0);
        assertEquals(before + 4, answered(device));
      }
    }
  }
}
