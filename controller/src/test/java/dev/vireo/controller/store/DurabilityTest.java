package dev.vireo.controller.store;

import static dev.vireo.controller.store.StoreConformance.bytes;
import static dev.vireo.controller.store.StoreConformance.join;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** kill -9 at any moment: whatever was answered is in the store, with the version it was told. */
final class DurabilityTest {
  private static final int ROUNDS = 3;
  private static final int ANSWERS_BEFORE_KILL = 300;

  @Test
  void whatWasAnsweredSurvivesKill9(@TempDir Path directory) throws Exception {
    Path file = directory.resolve("vireo.db");
    Map<String, Long> answered = new HashMap<>();
    for (int round = 0; round < ROUNDS; round++) {
      answered.putAll(writeUntilKilled(file, round));
    }

    Map<String, Long> kept = new HashMap<>();
    try (SqliteStore store = SqliteStore.open(file, Clock.systemUTC(), new SimpleMeterRegistry())) {
      join(store.list("")).entries().forEach(entry -> kept.put(entry.key(), entry.version()));
      long next = join(store.commit(List.of(new Write.Put("next", Write.ABSENT, bytes("")))));
      assertTrue(kept.values().stream().allMatch(version -> version < next));
    }
    assertTrue(answered.size() >= ROUNDS * ANSWERS_BEFORE_KILL);
    kept.keySet().retainAll(answered.keySet());
    assertEquals(answered, kept);
    assertEquals(List.of("temporary", "vireo.db"), names(directory));
    assertEquals(List.of(), names(temporary(file)));
  }

  /** Where a JVM puts what it does not want to keep. */
  private static Path temporary(Path file) throws IOException {
    return Files.createDirectories(file.resolveSibling("temporary"));
  }

  private static List<String> names(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(path -> path.getFileName().toString()).sorted().toList();
    }
  }

  /** What a process that was killed in full swing had been answered. */
  private static Map<String, Long> writeUntilKilled(Path file, int round) throws Exception {
    Process writer =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "--enable-native-access=ALL-UNNAMED",
                "-Djava.io.tmpdir=" + temporary(file),
                "-cp",
                System.getProperty("java.class.path"),
                Writer.class.getName(),
                file.toString(),
                "round" + round)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    Map<String, Long> answered = new HashMap<>();
    try (BufferedReader lines = writer.inputReader(StandardCharsets.UTF_8)) {
      for (int i = 0; i < ANSWERS_BEFORE_KILL; i++) {
        read(lines.readLine(), answered);
      }
      // By its handle: Process would close the pipe that we read.
      writer.toHandle().destroyForcibly();
      // Answers that were already in the pipe count as well.
      for (String line = lines.readLine();
          line != null && line.endsWith(";");
          line = lines.readLine()) {
        read(line, answered);
      }
    } finally {
      writer.destroyForcibly().waitFor();
    }
    return answered;
  }

  private static void read(String line, Map<String, Long> answered) {
    int space = line.indexOf(' ');
    answered.put(
        line.substring(0, space), Long.parseLong(line.substring(space + 1, line.length() - 1)));
  }

  /** Commits, several at a time, and prints each answer: key, version, semicolon. */
  static final class Writer {
    private static final int IN_FLIGHT = 8;

    private Writer() {}

    public static void main(String[] arguments) throws IOException {
      try (SqliteStore store =
          SqliteStore.open(Path.of(arguments[0]), Clock.systemUTC(), new SimpleMeterRegistry())) {
        for (int i = 0; ; i += IN_FLIGHT) {
          List<CompletableFuture<Void>> answers = new ArrayList<>();
          for (int j = i; j < i + IN_FLIGHT; j++) {
            String key = arguments[1] + "-" + j;
            answers.add(
                store
                    .commit(List.of(new Write.Put(key, Write.ABSENT, bytes("v"))))
                    .thenAccept(version -> System.out.println(key + " " + version + ";")));
          }
          answers.forEach(CompletableFuture::join);
        }
      }
    }
  }
}
