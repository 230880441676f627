package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestClassPathTest {
  @TempDir private Path tree;

  private Path module(String name, String... libraries) throws IOException {
    Path target = Files.createDirectories(tree.resolve(name).resolve("target"));
    Files.writeString(Files.createDirectory(target.resolve("classes")).resolve("Main.class"), name);
    Files.writeString(
        Files.createDirectory(target.resolve("test-classes")).resolve("Test.class"), name);
    Files.writeString(
        target.resolve("test.classpath"),
        String.join(":", List.of(libraries).stream().map(this::library).toList()) + "\n");
    return tree.resolve(name);
  }

  private String library(String name) {
    try {
      return Files.writeString(tree.resolve(name), name).toString();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void ownClassesComeFirstAndALibraryOfTwoModulesOnce() throws Exception {
    TestClassPath classPath =
        TestClassPath.of(
            List.of(module("linux", "junit.jar"), module("vmm", "jffi.jar", "junit.jar")));

    assertEquals(
        "/job/classpath/000-test-classes:/job/classpath/001-classes"
            + ":/job/classpath/002-test-classes:/job/classpath/003-classes"
            + ":/job/classpath/004-junit.jar:/job/classpath/005-jffi.jar",
        classPath.inJob());
    assertEquals(
        "/job/classpath/000-test-classes:/job/classpath/002-test-classes",
        classPath.testClassesInJob());

    classPath.addTo(tree.resolve("job"));
    assertEquals(
        "vmm", Files.readString(tree.resolve("job/classpath/002-test-classes/Test.class")));
    assertEquals("jffi.jar", Files.readString(tree.resolve("job/classpath/005-jffi.jar")));
  }

  @Test
  void aModuleThatWasNotBuiltIsNamed() {
    var failure =
        assertThrows(
            EmulatedNodeException.class, () -> TestClassPath.of(List.of(tree.resolve("vmm"))));
    assertEquals(EmulatedNodeException.Reason.ARTIFACT_MISSING, failure.reason());
  }
}
