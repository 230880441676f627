package dev.vireo.worker.vmm;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import dev.vireo.proto.vmm.v1.VmmStatus;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/**
 * Waits for a VMM that nobody wants any more, and removes what it leaves.
 *
 * @param then called after that
 */
record RemoveWhenEnded(Vmm vmm, Runnable then) implements VmmListener {
  private static final Duration END_WITHIN = Duration.ofSeconds(2);

  /** Ends them all and waits a moment for it. */
  static void endAll(Collection<? extends Vmm> vmms) {
    List<Vmm> ending = List.copyOf(vmms);
    CountDownLatch ends = new CountDownLatch(ending.size());
    for (Vmm vmm : ending) {
      vmm.listen(new RemoveWhenEnded(vmm, ends::countDown));
      vmm.kill();
    }
    try {
      var _ = ends.await(END_WITHIN.toMillis(), MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void onStatus(VmmStatus status) {
    // It no longer matters.
  }

  @Override
  public void onExit(VmmExit exit) {
    vmm.remove();
    then.run();
  }
}
