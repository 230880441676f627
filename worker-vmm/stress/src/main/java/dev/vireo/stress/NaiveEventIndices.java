package dev.vireo.stress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.ZZ_Result;

/** {@link EventIndices} by a device without a barrier: shows that those tests would see it. */
public final class NaiveEventIndices {
  private NaiveEventIndices() {}

  /** Stores its event index and looks at the ring, in the order that the processor likes. */
  @JCStressTest
  @Outcome(id = "false, false", expect = ACCEPTABLE_INTERESTING, desc = "Lost.")
  @Outcome(expect = ACCEPTABLE, desc = "Found, notified of, or both.")
  @State
  public static class Notification {
    private final Ring ring = new Ring();

    public Notification() {
      ring.offer(0, 1);
      int _ = ring.pop();
    }

    @Actor
    public void device(ZZ_Result result) {
      result.r1 = ring.enableNotificationsWithoutBarrier(1);
    }

    @Actor
    public void driver(ZZ_Result result) {
      ring.offer(1, 1);
      result.r2 = ring.notificationNeeded(1);
    }
  }

  /** Publishes the used index and looks at the driver's event index, likewise. */
  @JCStressTest
  @Outcome(id = "false, false", expect = ACCEPTABLE_INTERESTING, desc = "Lost.")
  @Outcome(expect = ACCEPTABLE, desc = "Found, interrupted for, or both.")
  @State
  public static class Interrupt {
    private final Ring ring = new Ring();

    public Interrupt() {
      ring.enableInterrupt(-1);
      ring.offer(0, 1);
      int _ = ring.pop();
    }

    @Actor
    public void device(ZZ_Result result) {
      ring.complete(1);
      result.r1 = ring.interruptWantedWithoutBarrier(0);
    }

    @Actor
    public void driver(ZZ_Result result) {
      ring.enableInterrupt(0);
      result.r2 = ring.used() != 0;
    }
  }
}
