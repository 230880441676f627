package dev.vireo.worker.vmm;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.worker.time.ManualTime;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** A pool of two, at most two starting at once, on time that the test moves. */
class VmmPoolTest {
  private static final Duration LONG = Duration.ofSeconds(5);

  private final ManualTime time = new ManualTime();
  private final ArrayDeque<CompletableFuture<Vmm>> starting = new ArrayDeque<>();
  private final VmmPool pool = new VmmPool(this::spawn, 2, 2, Runnable::run, time);

  private CompletableFuture<Vmm> spawn() {
    CompletableFuture<Vmm> vmm = new CompletableFuture<>();
    starting.add(vmm);
    return vmm;
  }

  private FakeVmm oneStarts() {
    FakeVmm vmm = new FakeVmm();
    starting.remove().complete(vmm);
    return vmm;
  }

  private void fill() {
    pool.start();
    oneStarts();
    oneStarts();
    assertEquals(2, pool.idle());
    assertTrue(starting.isEmpty());
  }

  @Test
  void fillsBeforeAnybodyAsks() {
    pool.start();
    assertEquals(2, starting.size());
    fill();
  }

  @Test
  void aTakenOneIsReplacedAfterAQuietMoment() {
    fill();
    assertTrue(pool.take().isDone());
    assertEquals(1, pool.idle());
    assertTrue(starting.isEmpty(), "a create may follow: no refill yet");
    time.pass(LONG);
    assertEquals(1, starting.size());
  }

  @Test
  void aDryPoolRefillsAtOnceAndServesWhoeverWaits() {
    fill();
    var _ = pool.take();
    var _ = pool.take();
    CompletableFuture<Vmm> third = pool.take();
    assertFalse(third.isDone());
    assertEquals(2, starting.size());
    FakeVmm vmm = oneStarts();
    assertSame(vmm, third.getNow(null));
    assertEquals(0, pool.idle());
  }

  @Test
  void noMoreStartAtOnceThanMay() {
    for (int i = 0; i < 10; i++) {
      var _ = pool.take();
    }
    assertEquals(2, starting.size());
    oneStarts();
    assertEquals(2, starting.size());
  }

  @Test
  void anIdleOneThatDiesIsClearedAwayAndReplaced() {
    fill();
    FakeVmm victim = (FakeVmm) pool.take().join();
    pool.add(victim);
    victim.dies();
    assertTrue(victim.isRemoved());
    time.pass(LONG);
    assertEquals(1, starting.size());
  }

  @Test
  void aTakenOneThatDiesIsItsTakersAffair() {
    fill();
    FakeVmm taken = (FakeVmm) pool.take().join();
    taken.dies();
    assertFalse(taken.isRemoved());
  }

  @Test
  void oneThatIsTakenWhileItIsPutThereTellsItsTakerOfItsEnd() throws Exception {
    FakeVmm vmm = new FakeVmm();
    AtomicReference<@Nullable VmmExit> heard = new AtomicReference<>();
    Thread taker =
        Thread.ofPlatform().unstarted(() -> pool.take().join().listen(new Ends(heard::set)));
    vmm.beforeListener(() -> {
      taker.start();
      // It has taken it and listens, or waits until it may.
      await().until(() -> !taker.isAlive() || taker.getState() == Thread.State.BLOCKED);
    });
    pool.add(vmm);
    taker.join();
    vmm.dies();
    assertNotNull(heard.get());
    assertFalse(vmm.isRemoved());
  }

  /** Hears of an end alone. */
  private record Ends(Consumer<VmmExit> heard) implements VmmListener {
    @Override
    public void onStatus(VmmStatus status) {
      // Not of interest.
    }

    @Override
    public void onExit(VmmExit exit) {
      heard.accept(exit);
    }
  }

  @Test
  void aBrokenVmmFailsCreatesAndIsTriedAgainWithPatience() {
    CompletableFuture<Vmm> create = pool.take();
    starting.remove().completeExceptionally(new VmmGoneException("no such file"));
    assertTrue(create.isCompletedExceptionally());
    // A second one was under way for the pool.
    starting.remove().completeExceptionally(new VmmGoneException("no such file"));
    assertTrue(starting.isEmpty(), "no busy loop of failing starts");
    time.pass(Duration.ofMillis(1999));
    assertTrue(starting.isEmpty());
    time.pass(LONG);
    assertEquals(2, starting.size());
  }

  @Test
  void whatIsTooManyIsEnded() {
    fill();
    FakeVmm third = new FakeVmm();
    pool.add(third);
    assertTrue(third.isKilled());
    assertEquals(2, pool.idle());
  }

  @Test
  void closingEndsTheIdleOnesOnly() {
    VmmPool ofOne = new VmmPool(this::spawn, 1, 1, Runnable::run, time);
    ofOne.start();
    FakeVmm idle = oneStarts();
    Thread.ofVirtual()
        .start(() -> {
          while (!idle.isKilled()) {
            Thread.onSpinWait();
          }
          idle.dies();
        });
    ofOne.close();
    assertTrue(idle.isRemoved());
    CompletableFuture<Vmm> late = spawn();
    assertFalse(late.isDone());
  }
}
