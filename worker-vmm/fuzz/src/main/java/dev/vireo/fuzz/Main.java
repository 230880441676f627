package dev.vireo.fuzz;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * {@code vireo fuzz}: starts Jazzer for one target after the other, each from its seeds and from
 * what earlier runs have learned, and says what came out.
 */
@SuppressWarnings("SystemOut") // A program for a terminal.
public final class Main {
  private static final int OK = 0;
  private static final int FOUND = 1;
  private static final int MISUSED = 2;
  private static final int SKIPPED = 3;
  private static final int MOST_INPUT_BYTES = 128 * Operation.BYTES;
  private static final String LINE = "%-21s %s%n";

  /** Longer than the harness waits for a device: such an input hangs in the device itself. */
  private static final int MOST_SECONDS_AN_INPUT = 90;

  /** As a VMM's, but compiled well: it is about speed here. */
  private static final List<String> JVM =
      List.of(
          "-XX:+UseSerialGC",
          "-Xmx512m",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow",
          "-Djnr.ffi.x86asm.enabled=false");

  private final Path home;
  private final String classPath;

  /**
   * @param home where corpora and findings are kept
   * @param classPath this program's own, with Jazzer
   */
  Main(Path home, String classPath) {
    this.home = home;
    this.classPath = classPath;
  }

  /** See {@code vireo fuzz --help}. */
  public static void main(String[] line) throws IOException, InterruptedException {
    String[] arguments = words(line);
    List<Target> targets = new ArrayList<>();
    int seconds = 60;
    boolean racing = false;
    Path replay = null;
    try {
      for (int i = 0; i < arguments.length; i++) {
        switch (arguments[i]) {
          case "--target" -> targets.add(Target.named(argument(arguments, ++i)));
          case "--seconds" -> seconds = Integer.parseUnsignedInt(argument(arguments, ++i));
          case "--racing" -> racing = true;
          case "--replay" -> replay = Path.of(argument(arguments, ++i));
          default -> throw new IllegalArgumentException("what is '" + arguments[i] + "'?");
        }
      }
      if (replay != null && targets.size() != 1) {
        throw new IllegalArgumentException("--replay needs one --target");
      }
    } catch (IllegalArgumentException e) {
      System.err.println("error: " + e.getMessage());
      System.err.println("  remedy: see vireo fuzz --help");
      System.exit(MISUSED);
    }
    List<Target> runnable = runnable(targets.isEmpty() ? Target.ALL : targets);
    if (runnable.isEmpty()) {
      System.exit(SKIPPED);
    }
    if (replay != null) {
      System.out.println(
          new Examination(targets.getFirst(), racing).run(Files.readAllBytes(replay)));
      return;
    }
    Main main =
        new Main(
            Path.of(System.getProperty("vireo.root"), ".fuzz"),
            System.getProperty("java.class.path"));
    System.exit(main.fuzz(runnable, seconds, racing) ? OK : FOUND);
  }

  /** Those that this host can run; of the others it is said why not. */
  private static List<Target> runnable(List<Target> targets) {
    List<Target> result = new ArrayList<>();
    for (Target target : targets) {
      Optional<String> hindrance = target.hindrance().get();
      if (hindrance.isEmpty()) {
        result.add(target);
      } else {
        System.out.printf(LINE, target.name(), "SKIPPED: " + hindrance.get());
      }
    }
    return result;
  }

  /** With {@code --option=VALUE} as two words. */
  static String[] words(String... line) {
    return Arrays.stream(line)
        .flatMap(
            word -> word.startsWith("--") ? Arrays.stream(word.split("=", 2)) : Stream.of(word))
        .toArray(String[]::new);
  }

  private static String argument(String[] arguments, int index) {
    if (index >= arguments.length) {
      throw new IllegalArgumentException(arguments[index - 1] + " of what?");
    }
    return arguments[index];
  }

  /**
   * Fuzzes each of {@code targets} for its share of the time.
   *
   * @return whether nothing was found
   */
  boolean fuzz(List<Target> targets, int seconds, boolean racing)
      throws IOException, InterruptedException {
    boolean clean = true;
    for (Target target : targets) {
      clean &= fuzz(target, Math.max(1, seconds / targets.size()), racing);
    }
    return clean;
  }

  private boolean fuzz(Target target, int seconds, boolean racing)
      throws IOException, InterruptedException {
    Path directory = home.resolve(racing ? target.name() + "-racing" : target.name());
    Path corpus = Files.createDirectories(directory.resolve("corpus"));
    Path seeds = Files.createDirectories(directory.resolve("seeds"));
    for (Map.Entry<String, byte[]> seed : Seeds.all().entrySet()) {
      Files.write(seeds.resolve(seed.getKey()), seed.getValue());
    }
    Instant start = Instant.now();
    Path log = directory.resolve("log");
    int status = jazzer(target, racing, seconds, directory, corpus, seeds, log);
    System.out.printf(LINE, directory.getFileName(), summary(log));
    if (status == 0) {
      return true;
    }
    System.out.println("  FOUND: " + finding(log) + "; log: " + log);
    newestFinding(directory, start)
        .ifPresent(input ->
            System.out.printf(
                "  again: ./vireo fuzz --target %s --replay %s%n", target.name(), input));
    return false;
  }

  private int jazzer(
      Target target, boolean racing, int seconds, Path directory, Path corpus, Path seeds, Path log)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(JVM);
    command.addAll(
        List.of(
            "-cp",
            classPath,
            "com.code_intelligence.jazzer.Jazzer",
            "--target_class=" + DeviceFuzzer.class.getName(),
            "--target_args=" + target.name() + (racing ? " " + DeviceFuzzer.RACING : ""),
            "--instrumentation_includes=dev.vireo.vmm.**:dev.vireo.linux.IoUring",
            // Its own detectors look for what a web application does wrong.
            "--disabled_hooks=com.code_intelligence.jazzer.sanitizers.*",
            "-max_total_time=" + seconds,
            "-timeout=" + MOST_SECONDS_AN_INPUT,
            "-max_len=" + MOST_INPUT_BYTES,
            corpus.toString(),
            seeds.toString()));
    Process process =
        new ProcessBuilder(command)
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    Thread end = new Thread(process::destroyForcibly);
    Runtime.getRuntime().addShutdownHook(end);
    int status = process.waitFor();
    Runtime.getRuntime().removeShutdownHook(end);
    return status;
  }

  private static String summary(Path log) throws IOException {
    String summary = lineWith(log, DeviceFuzzer.SUMMARY);
    return summary == null
        ? "ended before its time"
        : summary.substring(summary.indexOf(DeviceFuzzer.SUMMARY) + DeviceFuzzer.SUMMARY.length());
  }

  private static String finding(Path log) throws IOException {
    String exception = lineWith(log, "== Java Exception: ");
    return exception == null ? "the process died" : exception.replaceFirst("^== ", "");
  }

  private static @Nullable String lineWith(Path log, String text) throws IOException {
    try (Stream<String> lines = Files.lines(log, StandardCharsets.ISO_8859_1)) {
      return lines.filter(line -> line.contains(text)).reduce((first, last) -> last).orElse(null);
    }
  }

  private static Optional<Path> newestFinding(Path directory, Instant start) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files
          .filter(file -> file.getFileName().toString().matches("(crash|timeout|oom)-.*"))
          .filter(file -> file.toFile().lastModified() >= start.toEpochMilli() - 1000)
          .findFirst();
    }
  }
}
