package dev.vireo.sim;

import dev.vireo.worker.state.StateDirectory;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** {@code vireo sim [--seeds N] [--first-seed S] [--trace]}. */
public final class Main {
  private static final int EXIT_FAILED = 1;
  private static final int EXIT_USAGE = 2;
  private static final long PROGRESS_NANOS = 2_000_000_000L;
  private static final int LINES_OF_A_FAILURE = 60;
  private static final int FAILURES_TOLD = 10;
  private static final String SCRATCH = "vireo-sim-";
  private static final Duration SEED_WITHIN = Duration.ofSeconds(30);

  private static volatile boolean interrupted;
  private static volatile boolean over;

  private Main() {}

  private record Options(long seeds, long firstSeed, boolean trace) {
    static Options parse(List<String> arguments) {
      long seeds = 100;
      long firstSeed = 1;
      boolean trace = false;
      for (int i = 0; i < arguments.size(); i++) {
        String argument = arguments.get(i);
        int equals = argument.indexOf('=');
        String name = equals < 0 ? argument : argument.substring(0, equals);
        switch (name) {
          case "--trace" -> trace = true;
          case "--seeds", "--first-seed" -> {
            String text =
                equals >= 0
                    ? argument.substring(equals + 1)
                    : ++i < arguments.size() ? arguments.get(i) : "";
            long value = number(name, text);
            if (name.equals("--seeds")) {
              seeds = value;
            } else {
              firstSeed = value;
            }
          }
          default -> throw new IllegalArgumentException("there is no '%s'".formatted(argument));
        }
      }
      if (seeds < 1) {
        throw new IllegalArgumentException("--seeds must be 1 or more, not " + seeds);
      }
      return new Options(seeds, firstSeed, trace);
    }

    private static long number(String name, String text) {
      try {
        return Long.parseLong(text);
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException("%s takes a number, not '%s'".formatted(name, text));
      }
    }
  }

  public static void main(String[] arguments) throws IOException {
    Options options;
    try {
      options = Options.parse(List.of(arguments));
    } catch (IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage());
      System.err.println("  remedy: see vireo sim --help");
      System.exit(EXIT_USAGE);
      return;
    }
    Path scratch = scratch();
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> end(main, scratch)));
    boolean held = run(options, scratch);
    over = true;
    if (!interrupted) {
      System.exit(held ? 0 : EXIT_FAILED);
    }
  }

  /** Once the seed that is being run is over, so that nothing is written any more. */
  private static void end(Thread main, Path scratch) {
    interrupted = true;
    try {
      if (!over) {
        main.join(SEED_WITHIN);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    remove(scratch);
  }

  /** In memory where the system has such a directory: workers write a little at every step. */
  private static Path scratch() throws IOException {
    Path memory = Path.of("/dev/shm");
    Path parent = Files.isWritable(memory) ? memory : Path.of(System.getProperty("java.io.tmpdir"));
    removeWhatOthersLeft(parent);
    return Files.createTempDirectory(parent, SCRATCH + ProcessHandle.current().pid() + "-");
  }

  /** Those of runs that were killed: their names have the pid. */
  private static void removeWhatOthersLeft(Path parent) throws IOException {
    try (DirectoryStream<Path> old = Files.newDirectoryStream(parent, SCRATCH + "*-*")) {
      for (Path directory : old) {
        String pid =
            String.valueOf(directory.getFileName()).substring(SCRATCH.length()).split("-", -1)[0];
        if (ProcessHandle.of(Long.parseLong(pid)).isEmpty()) {
          remove(directory);
        }
      }
    }
  }

  private static void remove(Path scratch) {
    try {
      StateDirectory.removeTree(scratch);
    } catch (IOException e) {
      System.err.println("vireo sim: cannot remove " + scratch + ": " + e);
    }
  }

  private static boolean run(Options options, Path scratch) {
    List<SeedRun.Result> failures = new ArrayList<>();
    long began = System.nanoTime();
    long told = began;
    long turns = 0;
    long microVms = 0;
    long withoutNode = 0;
    long gangPlacements = 0;
    long beyondQuota = 0;
    long commits = 0;
    for (long i = 0; i < options.seeds && !interrupted; i++) {
      long seed = options.firstSeed + i;
      SeedRun.Result result =
          SeedRun.run(seed, scratch, options.trace ? System.out::println : _ -> {});
      turns += result.turns();
      microVms += result.microVms();
      withoutNode += result.deletedWithoutNode();
      gangPlacements += result.gangPlacements();
      beyondQuota += result.beyondQuota();
      commits += result.commits();
      if (result.failure().isPresent()) {
        failures.add(result);
        if (failures.size() <= FAILURES_TOLD) {
          tell(result, options.trace);
        }
      }
      if (System.nanoTime() - told > PROGRESS_NANOS) {
        told = System.nanoTime();
        System.err.printf(
            Locale.ROOT,
            "%6.1f s  %d of %d seeds, %d failed%n",
            (told - began) / 1e9,
            i + 1,
            options.seeds,
            failures.size());
      }
    }
    double seconds = (System.nanoTime() - began) / 1e9;
    System.out.printf(
        Locale.ROOT,
        "%d seeds from %d: %d held, %d failed; %d microVMs, %d deleted without their node,"
            + " %d commits with nodes for gangs, %d creates beyond quotas, %d commits, %d turns in %.1f s%n",
        options.seeds,
        options.firstSeed,
        options.seeds - failures.size(),
        failures.size(),
        microVms,
        withoutNode,
        gangPlacements,
        beyondQuota,
        commits,
        turns,
        seconds);
    if (!failures.isEmpty()) {
      System.out.println(
          "failed: " + failures.stream().limit(100).map(failure -> failure.seed()).toList());
    }
    return failures.isEmpty();
  }

  private static void tell(SeedRun.Result result, boolean traced) {
    if (!traced) {
      List<String> last = result.last();
      last.subList(Math.max(0, last.size() - LINES_OF_A_FAILURE), last.size())
          .forEach(System.out::println);
    }
    System.out.printf(
        "seed %d: %s%n  see all of it: vireo sim --first-seed %d --seeds 1 --trace%n",
        result.seed(), result.failure().orElseThrow(), result.seed());
  }
}
