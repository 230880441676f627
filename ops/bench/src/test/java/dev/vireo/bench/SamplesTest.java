package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;

class SamplesTest {
  @Test
  void percentilesAreNearestRank() {
    Samples hundred =
        new Samples(DoubleStream.iterate(100, x -> x - 1).limit(100).boxed().toList());

    assertEquals(50, hundred.percentile(50));
    assertEquals(99, hundred.percentile(99));
    assertEquals(100, hundred.percentile(100));
    assertEquals(1, hundred.percentile(0.1));
  }

  @Test
  void aSingleSampleIsEveryPercentile() {
    assertEquals(7, Samples.of(7).percentile(1));
    assertEquals(7, Samples.of(7).percentile(99));
  }

  @Test
  void theMedianIgnoresOneWildRound() {
    assertEquals(2, Samples.of(2, 900, 1).median());
  }

  @Test
  void noSamplesAreNoAnswer() {
    assertThrows(IllegalArgumentException.class, () -> new Samples(List.of()));
  }
}
