package dev.vireo.stress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.ZZ_Result;

/**
 * Each side stores its index, has a full barrier, and looks at the other's: at least one of them
 * sees the other's news, so nobody sleeps on work (VIRTIO 1.2, 2.7.7.2 and 2.7.10).
 */
public final class EventIndices {
  private EventIndices() {}

  /** The device goes to sleep while the driver offers one more buffer. */
  @JCStressTest
  @Outcome(id = "false, false", expect = FORBIDDEN, desc = "A buffer that nobody tells of.")
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
      result.r1 = ring.device().enableNotifications();
    }

    @Actor
    public void driver(ZZ_Result result) {
      ring.offer(1, 1);
      result.r2 = ring.notificationNeeded(1);
    }
  }

  /** The driver goes to sleep while the device returns a buffer. */
  @JCStressTest
  @Outcome(id = "false, false", expect = FORBIDDEN, desc = "A buffer that nobody tells of.")
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
      result.r1 = ring.device().interruptWanted();
    }

    @Actor
    public void driver(ZZ_Result result) {
      ring.enableInterrupt(0);
      result.r2 = ring.used() != 0;
    }
  }
}
