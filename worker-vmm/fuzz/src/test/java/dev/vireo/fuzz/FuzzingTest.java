package dev.vireo.fuzz;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A minute of fuzzing in all, from the seeds only: long runs are for {@code vireo fuzz}. */
@Tag("fuzz")
class FuzzingTest {
  private static final int SECONDS = 60;

  @TempDir Path home;

  static Stream<Target> targets() {
    return Target.ALL.stream();
  }

  @ParameterizedTest
  @MethodSource("targets")
  void findsNothing(Target target) throws IOException, InterruptedException {
    SeedsTest.assumeRunnable(target);
    Main main = new Main(home, System.getProperty("surefire.test.class.path"));
    assertTrue(
        main.fuzz(List.of(target), SECONDS / Target.ALL.size(), false),
        () -> log(home.resolve(target.name()).resolve("log")));
  }

  private static String log(Path log) {
    try {
      String all = Files.readString(log, StandardCharsets.ISO_8859_1);
      return all.substring(Math.max(0, all.length() - 4000));
    } catch (IOException e) {
      return e.toString();
    }
  }
}
