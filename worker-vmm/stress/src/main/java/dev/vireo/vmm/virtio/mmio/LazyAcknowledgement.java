package dev.vireo.vmm.virtio.mmio;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE_INTERESTING;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import dev.vireo.stress.Ring;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.ZI_Result;

/**
 * The driver acknowledges one buffer's interrupt while the device returns the next, and the sweep
 * comes after both. Either the driver sees the new buffer, or the bit is still there for the
 * interrupt that is to come.
 */
public final class LazyAcknowledgement {
  private LazyAcknowledgement() {}

  /** One buffer was returned and its interrupt raised; the second is about to be. */
  private static final class Scene {
    final Ring ring = new Ring();
    final PooledRegisters registers = PooledRegisters.take();

    Scene() {
      ring.offer(0, 1);
      int _ = ring.pop();
      ring.complete(1);
      registers.lazy().raise(InterruptRegisters.USED_BUFFER);
      ring.offer(1, 1);
      int _ = ring.pop();
    }

    /** The interrupt's handler: acknowledges, then looks at the ring. */
    boolean handlerSeesTheSecond() {
      if ((registers.status() & InterruptRegisters.USED_BUFFER) != 0) {
        registers.acknowledge();
      }
      return ring.used() == 2;
    }

    /** The status that the second interrupt's handler will find. */
    int statusInTheEnd() {
      registers.lazy().takeAcknowledgements();
      int status = registers.status();
      registers.giveBack();
      return status;
    }
  }

  /** The VMM's own registers. */
  @JCStressTest
  @Outcome(id = "false, 0", expect = FORBIDDEN, desc = "An interrupt taken for somebody else's.")
  @Outcome(expect = ACCEPTABLE, desc = "Seen, or still pending.")
  @State
  public static class Lazy {
    private final Scene scene = new Scene();

    @Actor
    public void device() {
      scene.ring.complete(1);
      scene.registers.lazy().raise(InterruptRegisters.USED_BUFFER);
    }

    @Actor
    public void driver(ZI_Result result) {
      result.r1 = scene.handlerSeesTheSecond();
    }

    @Arbiter
    public void sweep(ZI_Result result) {
      result.r2 = scene.statusInTheEnd();
    }
  }

  /** By a device that sets the bit naively: shows that the test above would see it. */
  @JCStressTest
  @Outcome(id = "false, 0", expect = ACCEPTABLE_INTERESTING, desc = "Lost.")
  @Outcome(expect = ACCEPTABLE, desc = "Seen, or still pending.")
  @State
  public static class Naive {
    private final Scene scene = new Scene();

    @Actor
    public void device() {
      scene.ring.complete(1);
      scene.registers.raiseNaively();
    }

    @Actor
    public void driver(ZI_Result result) {
      result.r1 = scene.handlerSeesTheSecond();
    }

    @Arbiter
    public void sweep(ZI_Result result) {
      result.r2 = scene.statusInTheEnd();
    }
  }
}
