package dev.vireo.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Write;
import dev.vireo.sim.SeedRun.Result;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SeedRunTest {
  @TempDir Path scratch;

  private Result run(long seed) {
    return SeedRun.run(seed, scratch, _ -> {});
  }

  private String failure(Consumer<World> saboteur) {
    return SeedRun.run(1, scratch, _ -> {}, saboteur).failure().orElse("all held");
  }

  @Test
  void aSeedReplaysToTheLastLine() {
    Result first = run(7);
    assertEquals(first, run(7));
    assertNotEquals(first.hash(), run(8).hash());
    assertTrue(first.microVms() > 0 && first.commits() > 0, first::toString);
  }

  @Test
  void nothingIsLeftOfARun() throws IOException {
    Result _ = run(3);
    try (var left = Files.list(scratch)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  void aRecordThatIsLostIsNoticedAtOnce() {
    String failure = failure(world -> later(world, 10, () -> loseOne(world)));
    assertTrue(failure.endsWith("was promised, and is removed from the store"), failure);
  }

  private static void loseOne(World world) {
    Optional<Entry> promised =
        world.disk().entries("microvms/").stream()
            .filter(entry ->
                world
                    .promises()
                    .holds(Records.parse(entry.value()).getMicrovm().getMeta().getUid()))
            .findFirst();
    if (promised.isEmpty()) {
      later(world, 1, () -> loseOne(world));
      return;
    }
    Entry entry = promised.get();
    var _ = world.disk().commit(List.of(new Write.Delete(entry.key(), entry.version())));
  }

  @Test
  void aNodeThatStaysAwayIsNoticedInTheEnd() {
    String failure =
        failure(world -> later(world, 100, () -> world.machines().forEach(m -> m.killWorker())));
    assertTrue(failure.matches("240 s after the last fault: node-. has no session"), failure);
  }

  private static void later(World world, int seconds, Runnable action) {
    var _ = world.simulation().after(Duration.ofSeconds(seconds), action);
  }
}
