package dev.vireo.emulated;

import dev.vireo.images.Architecture;
import dev.vireo.images.FileTrees;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;

/**
 * Makes a VMM's directory, as its module builds it for the host, fit for another architecture: the
 * outer machine's Java instead of its own, no archive of classes, and another native library.
 */
final class ForeignVmm {
  private static final List<String> ARGUMENTS = List.of("vmm.args", "fast.args");
  private static final String LIBRARY = "libjffi-1.2.so";

  private final Path home;
  private final Architecture architecture;

  ForeignVmm(Path home, Architecture architecture) {
    this.home = home;
    this.architecture = architecture;
  }

  /**
   * Adapts it.
   *
   * @param worker whose libraries have jffi's for all architectures
   */
  void adapt(Path worker) throws IOException {
    FileTrees.delete(home.resolve("runtime"));
    Files.createSymbolicLink(home.resolve("runtime"), Path.of("/java"));
    Files.deleteIfExists(home.resolve("vmm.jsa"));
    for (String file : ARGUMENTS) {
      List<String> arguments =
          Files.readAllLines(home.resolve(file)).stream()
              .filter(argument -> !argument.startsWith("-XX:SharedArchiveFile="))
              .toList();
      Files.write(home.resolve(file), arguments);
    }
    putLibrary(worker.resolve("lib"));
  }

  private void putLibrary(Path libraries) throws IOException {
    Path jar;
    try (Stream<Path> files = Files.list(libraries)) {
      jar =
          files
              .filter(file -> String.valueOf(file.getFileName()).matches("jffi-.*-native\\.jar"))
              .findFirst()
              .orElseThrow(() -> new IOException("no native jffi in " + libraries));
    }
    try (JarFile jffi = new JarFile(jar.toFile())) {
      ZipEntry library = jffi.getEntry("jni/" + platform() + "/" + LIBRARY);
      try (InputStream content = jffi.getInputStream(library)) {
        Files.write(home.resolve("native").resolve(LIBRARY), content.readAllBytes());
      }
    }
  }

  /** As jffi names it. */
  private String platform() {
    return switch (architecture) {
      case X86_64 -> "x86_64-Linux";
      case ARM64 -> "aarch64-Linux";
    };
  }
}
