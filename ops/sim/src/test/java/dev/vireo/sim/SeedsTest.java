package dev.vireo.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The seeds that every build runs: as far as a minute or so goes. More: {@code vireo sim}. */
@Tag("sim")
class SeedsTest {
  private static final long FIRST = 1;
  private static final long LAST = 400;

  @TempDir Path scratch;

  @Test
  void eachSeedHolds() {
    List<String> failures =
        LongStream.rangeClosed(FIRST, LAST)
            .mapToObj(seed -> SeedRun.run(seed, scratch, _ -> {}))
            .filter(result -> result.failure().isPresent())
            .map(result ->
                "seed %d: %s; see vireo sim --first-seed %1$d --seeds 1 --trace"
                    .formatted(result.seed(), result.failure().orElseThrow()))
            .toList();
    assertEquals(List.of(), failures);
  }
}
