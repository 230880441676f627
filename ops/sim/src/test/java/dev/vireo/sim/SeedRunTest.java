package dev.vireo.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.Write;
import dev.vireo.sim.SeedRun.Result;
import dev.vireo.sim.node.SimMachine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SeedRunTest {
  private static final long ONE_CONTROLLER = 8;
  private static final long SEVERAL_CONTROLLERS = 14;

  @TempDir Path scratch;

  private Result run(long seed) {
    return SeedRun.run(seed, scratch, _ -> {});
  }

  private String failure(Consumer<World> saboteur) {
    return SeedRun.run(ONE_CONTROLLER, scratch, _ -> {}, saboteur).failure().orElse("all held");
  }

  @Test
  void aSeedReplaysToTheLastLine() {
    for (long seed : List.of(ONE_CONTROLLER, SEVERAL_CONTROLLERS)) {
      Result first = run(seed);
      assertEquals(first, run(seed));
      assertTrue(first.microVms() > 0 && first.commits() > 0, first::toString);
    }
    assertNotEquals(run(ONE_CONTROLLER).hash(), run(ONE_CONTROLLER + 1).hash());
  }

  @Test
  void aSeedDecidesHowManyControllersThereAre() {
    assertEquals(List.of("controller"), controllers(ONE_CONTROLLER));
    assertEquals(
        List.of("controller-0", "controller-1", "controller-2"), controllers(SEVERAL_CONTROLLERS));
  }

  private List<String> controllers(long seed) {
    List<String> names = new ArrayList<>();
    Result _ =
        SeedRun.run(
            seed, scratch, _ -> {}, world -> world.seats().forEach(seat -> names.add(seat.name())));
    return names;
  }

  @Test
  void aControllerThatHearsOfNothingIsNoticedInTheEnd() {
    String failure =
        SeedRun.run(
                SEVERAL_CONTROLLERS,
                scratch,
                _ -> {},
                world -> later(world, 115, () -> deafen(world)))
            .failure()
            .orElse("all held");
    assertTrue(failure.matches("(?s)240 s after the last fault: controller-. shows .*"), failure);
  }

  /** All but the leader, whose commits would fail; and then something happens. */
  private static void deafen(World world) {
    world.seats().stream()
        .filter(seat -> !seat.controller().leads())
        .forEach(seat -> seat.setLag(Duration.ofHours(1)));
    later(world, 1, () -> world.machines().forEach(SimMachine::endSomeGuest));
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
