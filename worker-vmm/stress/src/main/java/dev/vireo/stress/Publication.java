package dev.vireo.stress;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.I_Result;

/** Who sees an index sees what was written before it (VIRTIO 1.2, 2.7.13.3 and 2.7.14). */
public final class Publication {
  private static final int LENGTH = 42;

  private Publication() {}

  /** Driver to device: descriptor and head, then the available index. */
  @JCStressTest
  @Outcome(id = "0", expect = ACCEPTABLE, desc = "Not offered yet.")
  @Outcome(id = "42", expect = ACCEPTABLE, desc = "The buffer, whole.")
  @Outcome(expect = FORBIDDEN, desc = "An index that came before what it stands for.")
  @State
  public static class OfBuffers {
    private final Ring ring = new Ring();

    @Actor
    public void driver() {
      ring.offer(0, LENGTH);
    }

    @Actor
    public void device(I_Result result) {
      result.r1 = ring.pop();
    }
  }

  /** Device to driver: the used element, then the used index. */
  @JCStressTest
  @Outcome(id = "-1", expect = ACCEPTABLE, desc = "Not returned yet.")
  @Outcome(id = "42", expect = ACCEPTABLE, desc = "The element, whole.")
  @Outcome(expect = FORBIDDEN, desc = "An index that came before its element.")
  @State
  public static class OfUsedElements {
    private final Ring ring = new Ring();

    public OfUsedElements() {
      ring.offer(0, 1);
      int _ = ring.pop();
    }

    @Actor
    public void device() {
      ring.complete(LENGTH);
    }

    @Actor
    public void driver(I_Result result) {
      result.r1 = ring.used() == 0 ? -1 : ring.writtenOf(0);
    }
  }
}
