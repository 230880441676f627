package dev.vireo.sim;

import dev.vireo.sim.client.BrokenPromiseException;
import dev.vireo.sim.client.SimClient;
import dev.vireo.sim.kernel.Simulation;
import dev.vireo.sim.kernel.Trace;
import dev.vireo.worker.state.StateDirectory;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** One seed, from a cluster's first moment to its rest after the last fault. */
public final class SeedRun {
  private static final Duration TURBULENCE = Duration.ofSeconds(90);
  private static final Duration REST_WITHIN = Duration.ofMinutes(4);

  /** A lease and the longest back-offs: until then it may look at rest and not be. */
  private static final Duration AT_REST_FOR = Duration.ofSeconds(30);

  private SeedRun() {}

  /**
   * How it went.
   *
   * @param failure what was wrong; empty if all held
   * @param last the end of the trace, for a failure
   * @param hash of the whole trace
   * @param deletedWithoutNode how many of the microVMs were deleted while their node was gone
   * @param gangPlacements how many commits gave nodes to members of gangs
   * @param beyondQuota how many creates were refused for the sake of a quota
   */
  public record Result(
      long seed,
      Optional<String> failure,
      List<String> last,
      long hash,
      long turns,
      int microVms,
      int deletedWithoutNode,
      int gangPlacements,
      int beyondQuota,
      long commits) {}

  /**
   * Runs it.
   *
   * @param scratch a directory for what the workers write; what is made there is removed
   * @param listener is told of each line of the trace
   */
  public static Result run(long seed, Path scratch, Consumer<String> listener) {
    return run(seed, scratch, listener, _ -> {});
  }

  /**
   * As well, with something more going wrong than {@link Faults} does.
   *
   * @param saboteur is shown the world as it begins
   */
  static Result run(long seed, Path scratch, Consumer<String> listener, Consumer<World> saboteur) {
    Trace trace = new Trace(listener);
    Simulation simulation = new Simulation(seed, trace);
    Optional<String> failure = Optional.empty();
    try (LogWatch log = new LogWatch()) {
      Path directory = Files.createTempDirectory(scratch, "seed");
      try (World world = new World(simulation, directory)) {
        Invariants invariants = new Invariants(world);
        try {
          saboteur.accept(world);
          go(world, invariants);
          log.throwIfAny();
        } catch (RuntimeException e) {
          failure = Optional.of(describe(e));
        }
        return new Result(
            seed,
            failure,
            failure.isPresent() ? trace.last() : List.of(),
            trace.hash(),
            simulation.turns(),
            world.promises().count(),
            invariants.withoutNode(),
            invariants.gangPlacements(),
            world.promises().beyondQuota(),
            world.disk().commits());
      } finally {
        StateDirectory.removeTree(directory);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void go(World world, Invariants invariants) {
    Simulation simulation = world.simulation();
    simulation.afterEachTurn(invariants::check);
    Faults faults = new Faults(world);
    faults.supervise();
    simulation.run(TURBULENCE, () -> false);
    faults.end();
    world.clients().forEach(SimClient::stop);
    Convergence convergence = new Convergence(world);
    long end = simulation.nanos() + REST_WITHIN.toNanos();
    simulation.run(AT_REST_FOR, () -> false);
    while (convergence.missing().isPresent() && simulation.nanos() < end) {
      simulation.run(Duration.ofSeconds(1), () -> false);
    }
    convergence
        .missing()
        .ifPresent(what -> {
          throw new BrokenPromiseException(
              "%d s after the last fault: %s".formatted(REST_WITHIN.toSeconds(), what));
        });
  }

  private static String describe(Throwable failure) {
    Throwable root = failure;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    if (root instanceof BrokenPromiseException) {
      return String.valueOf(root.getMessage());
    }
    StringWriter text = new StringWriter();
    failure.printStackTrace(new PrintWriter(text));
    return text.toString();
  }
}
