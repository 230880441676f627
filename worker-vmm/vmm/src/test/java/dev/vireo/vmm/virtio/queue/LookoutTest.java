package dev.vireo.vmm.virtio.queue;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class LookoutTest {
  private final Lookout lookout = new Lookout(50_000);

  @Test
  void nobodyIsWatchedAtFirst() {
    assertEquals(0, lookout.nanos());
  }

  @Test
  void aDriverThatComesBackSoonIsWatchedForLonger() {
    assertEquals(
        List.of(10_000L, 20_000L, 40_000L, 50_000L, 50_000L),
        Stream.generate(() -> after(50_000)).limit(5).toList());
  }

  @Test
  void oneThatComesLateIsNotWatched() {
    after(1_000);
    assertEquals(0, after(50_001));
    assertEquals(10_000, after(1_000));
  }

  @Test
  void itMayWatchNobody() {
    Lookout nobody = new Lookout(0);
    nobody.slept(0);
    assertEquals(0, nobody.nanos());
  }

  private long after(long sleptNanos) {
    lookout.slept(sleptNanos);
    return lookout.nanos();
  }
}
