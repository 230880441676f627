package dev.vireo.bench.placement;

import dev.vireo.bench.placement.PlacementReport.Measured;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;
import org.openjdk.jmh.util.Statistics;

/** Runs {@link PlacementBenchmark} under JMH, each point in a JVM of its own. */
public final class PlacementRun {
  private static final int POINTS = 12;
  private static final int POINTS_WITH_NEIGHBOURS = 4;
  private static final int POINTS_WITH_IMAGES = 4;

  private PlacementRun() {}

  /**
   * @param quick fewer and shorter rounds
   * @param progress is told what happens
   */
  public static PlacementReport run(boolean quick, Consumer<String> progress)
      throws RunnerException {
    int rounds = quick ? 2 : 5;
    int seconds = quick ? 1 : 2;
    int points = POINTS + POINTS_WITH_NEIGHBOURS + POINTS_WITH_IMAGES;
    progress.accept("%d points, about %d s".formatted(points, points * (2 * rounds * seconds + 2)));
    List<Measured> measured = new ArrayList<>();
    run(options(rounds, seconds), measured);
    run(
        options(rounds, seconds)
            .param("full", "50")
            .param("profile", "LEAST_ALLOCATED")
            .param("neighbours", "SPREAD", "APART"),
        measured);
    run(
        options(rounds, seconds)
            .param("full", "50")
            .param("profile", "LEAST_ALLOCATED")
            .param("images", "RARE", "COMMON"),
        measured);
    return new PlacementReport(measured);
  }

  private static ChainedOptionsBuilder options(int rounds, int seconds) {
    return new OptionsBuilder()
        .include(PlacementBenchmark.class.getName() + "\\.")
        .forks(1)
        // Not those of this JVM, which is to start fast. JMH itself uses Unsafe.
        .jvmArgs("--sun-misc-unsafe-memory-access=allow")
        .warmupIterations(rounds)
        .warmupTime(TimeValue.seconds(seconds))
        .measurementIterations(rounds)
        .measurementTime(TimeValue.seconds(seconds))
        .verbosity(VerboseMode.SILENT);
  }

  private static void run(ChainedOptionsBuilder options, List<Measured> measured)
      throws RunnerException {
    for (RunResult result : new Runner(options.build()).run()) {
      measured.add(measured(result));
    }
  }

  private static Measured measured(RunResult result) {
    BenchmarkParams parameters = result.getParams();
    Statistics micros = result.getPrimaryResult().getStatistics();
    return new Measured(
        Integer.parseInt(parameters.getParam("nodes")),
        Integer.parseInt(parameters.getParam("full")),
        parameters.getParam("profile"),
        parameters.getParam("neighbours"),
        parameters.getParam("images"),
        micros.getMean(),
        micros.getPercentile(50),
        micros.getPercentile(99));
  }
}
