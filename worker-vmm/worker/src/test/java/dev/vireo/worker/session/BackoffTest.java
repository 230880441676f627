package dev.vireo.worker.session;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class BackoffTest {
  private final Backoff backoff =
      new Backoff(Duration.ofMillis(100), Duration.ofSeconds(5), new Random(1));

  @Test
  void doublesUpToTheCapWithinTheUpperHalf() {
    long ceiling = 100;
    for (int i = 0; i < 40; i++) {
      long wait = backoff.next().toMillis();
      assertTrue(wait > ceiling / 2 - 1 && wait <= ceiling, wait + " of " + ceiling);
      ceiling = Math.min(5000, ceiling * 2);
    }
  }

  @Test
  void twoNodesDoNotReturnTogether() {
    Backoff other = new Backoff(Duration.ofMillis(100), Duration.ofSeconds(5), new Random(2));
    assertNotEquals(
        Stream.generate(backoff::next).limit(5).toList(),
        Stream.generate(other::next).limit(5).toList());
  }

  @Test
  void beginsAgainAfterASuccess() {
    for (int i = 0; i < 10; i++) {
      assertTrue(backoff.next().compareTo(Duration.ZERO) > 0);
    }
    backoff.reset();
    assertEquals(0, backoff.next().toMillis() / 101);
  }
}
