package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.ARTIFACT_MISSING;

import dev.vireo.images.FileTrees;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * What the tests of some modules are run with: their classes, and what Maven says that these need.
 * In a job it is a directory of its own, in which a number before each name keeps the order.
 */
final class TestClassPath {
  /** Of a module: what {@code dependency:build-classpath} has written of its tests. */
  private static final String DEPENDENCIES_FILE = "target/test.classpath";

  /** Where a job has it. */
  private static final String DIRECTORY = "classpath";

  private final List<Path> testClasses;
  private final List<Path> entries;

  private TestClassPath(List<Path> testClasses, List<Path> entries) {
    this.testClasses = testClasses;
    this.entries = entries;
  }

  /**
   * That of modules as they were built.
   *
   * @param modules their directories
   * @throws EmulatedNodeException ARTIFACT_MISSING if one has not been built
   */
  static TestClassPath of(List<Path> modules) throws IOException, EmulatedNodeException {
    List<Path> testClasses = new ArrayList<>();
    Set<Path> entries = new LinkedHashSet<>();
    for (Path module : modules) {
      testClasses.add(module.resolve("target/test-classes"));
      entries.add(module.resolve("target/test-classes"));
      entries.add(module.resolve("target/classes"));
    }
    for (Path module : modules) {
      Path dependencies = module.resolve(DEPENDENCIES_FILE);
      if (!Files.exists(dependencies)) {
        throw new EmulatedNodeException(
            ARTIFACT_MISSING,
            "%s is missing; make it: ./mvnw package dependency:build-classpath -Dmdep.outputFile=%s"
                .formatted(dependencies, DEPENDENCIES_FILE));
      }
      for (String entry : Files.readString(dependencies).strip().split(File.pathSeparator, -1)) {
        entries.add(Path.of(entry));
      }
    }
    return new TestClassPath(testClasses, List.copyOf(entries));
  }

  /** Copies it into the directory that {@code /job} is made of. */
  void addTo(Path job) throws IOException {
    for (Path entry : entries) {
      FileTrees.copy(entry, job.resolve(DIRECTORY).resolve(nameOf(entry)));
    }
  }

  /** All of it, as the outer machine's Java takes it. */
  String inJob() {
    return join(entries);
  }

  /** The part to look for tests in. */
  String testClassesInJob() {
    return join(testClasses);
  }

  private String join(List<Path> some) {
    return some.stream()
        .map(entry -> "/job/" + DIRECTORY + "/" + nameOf(entry))
        .collect(java.util.stream.Collectors.joining(":"));
  }

  private String nameOf(Path entry) {
    return "%03d-%s".formatted(entries.indexOf(entry), entry.getFileName());
  }
}
