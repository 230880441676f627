package dev.vireo.emulated;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.images.Architecture;
import dev.vireo.images.Commands;
import dev.vireo.images.DebianPackages;
import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import dev.vireo.images.Progress;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Debian's, for an architecture on which the JDK that runs this does not run. */
final class DebianJavaRuntime implements JavaRuntime {
  /** The first with Java 25. */
  private static final String RELEASE = "trixie";

  private static final String RUNTIME_PACKAGE = "openjdk-25-jre-headless";

  /** The libraries that its launcher, JVM and network code are linked with. */
  private static final List<String> LIBRARY_PACKAGES =
      List.of("libc6", "libgcc-s1", "libstdc++6", "zlib1g");

  private final Architecture architecture;
  private final Path cache;
  private final Commands commands;
  private final Progress progress;

  /**
   * @param cache Vireo's cache directory
   */
  DebianJavaRuntime(Architecture architecture, Path cache, Commands commands, Progress progress) {
    this.architecture = architecture;
    this.cache = cache;
    this.commands = commands;
    this.progress = progress;
  }

  @Override
  public byte[] fingerprint() {
    return (RELEASE + RUNTIME_PACKAGE + LIBRARY_PACKAGES).getBytes(UTF_8);
  }

  @Override
  public void make(Path runtime, Path root) throws IOException, ImageException {
    DebianPackages packages = DebianPackages.of(cache, RELEASE, architecture, commands, progress);
    for (String library : LIBRARY_PACKAGES) {
      packages.fetch(library).unpack(root, commands);
    }
    // Since trixie, packages have nothing outside /usr; programs look for their loader in /lib.
    Files.createSymbolicLink(root.resolve("lib"), Path.of("usr/lib"));
    packages.fetch(RUNTIME_PACKAGE).unpack(root, commands);
    Path packaged = root.resolve("usr/lib/jvm/java-25-openjdk-" + architecture.debianName());
    Files.move(packaged, runtime);
    FileTrees.delete(root.resolve("usr/share"));
  }
}
