package dev.vireo.cli.demo;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A directory that goes, with every process that writes its output into it, when this is closed,
 * and also when this JVM is killed: a guardian process sees its standard input end.
 */
final class PrivateDirectory implements AutoCloseable {
  /**
   * Looks until it finds no process more: what it ends may just have started another one. And
   * removes until nothing is left: a thread that is ending may just have written another file.
   */
  private static final String GUARDIAN =
      """
      trap '' INT TERM HUP
      cat >/dev/null
      found=yes
      while [ $found = yes ]; do
        found=no
        for output in /proc/[0-9]*/fd/1; do
          case $(readlink "$output") in
            "$1"/*) pid=${output#/proc/}; kill -9 "${pid%%/*}"; found=yes ;;
          esac
        done
      done
      until rm -rf "$1"; do :; done
      """;

  private final Path path;
  private final Process guardian;

  private PrivateDirectory(Path path, Process guardian) {
    this.path = path;
    this.guardian = guardian;
  }

  static PrivateDirectory create() throws IOException {
    // Short, for the unix sockets in it.
    Path path = Files.createTempDirectory("vireo-demo-").toRealPath();
    Process guardian =
        new ProcessBuilder("setsid", "sh", "-c", GUARDIAN, "vireo-demo-guardian", path.toString())
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    return new PrivateDirectory(path, guardian);
  }

  Path path() {
    return path;
  }

  @Override
  public void close() throws IOException {
    guardian.getOutputStream().close();
    try {
      guardian.waitFor();
    } catch (InterruptedException e) {
      // The guardian goes on by itself.
      Thread.currentThread().interrupt();
    }
  }
}
