package dev.vireo.emulated;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;

import dev.vireo.images.Commands;
import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import dev.vireo.images.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** Linked from the JDK that runs this, with the host's own libraries. */
final class LinkedJavaRuntime implements JavaRuntime {
  /**
   * What the worker and the VMM use of the JDK, and their tests; jdk.unsupported is for jnr-ffi and
   * Netty.
   */
  private static final List<String> MODULES =
      List.of(
          "java.base",
          "java.logging",
          "java.management",
          "java.naming",
          "java.xml",
          "jdk.management",
          "jdk.unsupported");

  private final Path javaHome;
  private final Commands commands;
  private final Progress progress;

  /**
   * @param javaHome of a whole JDK
   */
  LinkedJavaRuntime(Path javaHome, Commands commands, Progress progress) {
    this.javaHome = javaHome;
    this.commands = commands;
    this.progress = progress;
  }

  @Override
  public byte[] fingerprint() throws IOException {
    return Files.readAllBytes(javaHome.resolve("release"));
  }

  @Override
  public void make(Path runtime, Path root) throws IOException, ImageException {
    Path jlink = javaHome.resolve("bin/jlink");
    if (!Files.isExecutable(jlink)) {
      throw new ImageException(
          HOST_UNSUPPORTED, javaHome + " is no whole JDK: it has no jlink. Install a JDK 25.");
    }
    progress.step("linking a Java runtime for the outer machine");
    commands.runOrThrow(
        root,
        List.of(
            jlink.toString(),
            "--add-modules",
            String.join(",", MODULES),
            "--strip-debug",
            "--no-header-files",
            "--no-man-pages",
            "--output",
            runtime.toString()));
    // Class data sharing, which jlink leaves out: a third off each start.
    commands.runOrThrow(
        root, List.of(runtime.resolve("bin/java").toString(), "-Xshare:dump", "-XX:+UseSerialGC"));
    for (Path library : librariesOf(runtime)) {
      FileTrees.copyFile(library, root.resolve(Path.of("/").relativize(library)));
    }
  }

  /** The host's shared libraries (glibc, in the main) that a Java runtime is linked with. */
  private Set<Path> librariesOf(Path runtime) throws IOException, ImageException {
    List<Path> linked = new ArrayList<>(List.of(runtime.resolve("bin/java")));
    try (Stream<Path> files = Files.walk(runtime.resolve("lib"))) {
      files.filter(file -> file.toString().endsWith(".so")).forEach(linked::add);
    }
    Set<Path> libraries = SharedLibraries.of(linked, commands);
    libraries.removeIf(library -> library.startsWith(runtime));
    return libraries;
  }
}
