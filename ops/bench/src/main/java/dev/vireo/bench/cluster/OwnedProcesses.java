package dev.vireo.bench.cluster;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A directory and the processes that belong to it: those whose standard output is a file in it,
 * which a microVM's VMM has too, whoever started it. A guardian process ends them and removes the
 * directory when this is closed, and also when this JVM dies without a word.
 */
public final class OwnedProcesses implements AutoCloseable {
  /**
   * Waits for the end of its standard input, which is the end of its owner. It looks again until it
   * finds nothing: what it ends may just have started something. Workers that it ends, or that were
   * ended before, have left control groups of their VMMs, by the uid of their node.
   */
  private static final String GUARDIAN =
      """
      trap '' INT TERM HUP
      cat >/dev/null
      found=yes
      while [ $found = yes ]; do
        found=no
        for output in /proc/[0-9]*/fd/1; do
          case "$(readlink "$output")" in
            "$1"/*) pid=${output#/proc/}; kill -9 "${pid%%/*}"; found=yes ;;
          esac
        done
      done
      for uid in $(find "$1" -name node-uid -exec awk 1 {} +); do
        for groups in /sys/fs/cgroup/vireo /sys/fs/cgroup/*/vireo; do
          for again in 1 2 3 4 5 6 7 8 9 10; do
            [ -d "$groups/$uid" ] || break
            [ $again = 1 ] || sleep 0.1
            rmdir "$groups/$uid"/*/ "$groups/$uid" "$groups"
          done
        done
      done 2>/dev/null
      rm -rf "$1"
      """;

  /** The least number that has six digits to the base of 36; the largest int has no more. */
  private static final int FIRST_SUFFIX = 36 * 36 * 36 * 36 * 36;

  private static final SecureRandom RANDOM = new SecureRandom();

  private final Path directory;
  private final Process guardian;

  private OwnedProcesses(Path directory, Process guardian) {
    this.directory = directory;
    this.guardian = guardian;
  }

  /**
   * Makes the directory, /tmp/NAME-xxxxxx: short enough for the unix sockets of microVMs below it,
   * which that of {@link Files#createTempDirectory} is not.
   *
   * @param name of a dozen letters at most
   */
  public static OwnedProcesses create(String name) throws IOException {
    Path directory = newDirectory(name);
    Process guardian =
        new ProcessBuilder("setsid", "sh", "-c", GUARDIAN, "guardian", directory.toString())
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    return new OwnedProcesses(directory, guardian);
  }

  private static Path newDirectory(String name) throws IOException {
    var ownerOnly =
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
    Path parent = Path.of(System.getProperty("java.io.tmpdir")).toRealPath();
    while (true) {
      String suffix = Integer.toString(RANDOM.nextInt(FIRST_SUFFIX, Integer.MAX_VALUE), 36);
      try {
        return Files.createDirectory(parent.resolve(name + "-" + suffix), ownerOnly);
      } catch (FileAlreadyExistsException e) {
        // Somebody else's.
      }
    }
  }

  public Path directory() {
    return directory;
  }

  /**
   * Starts a process in a session of its own (a Ctrl-C is for this JVM to handle), its output going
   * to the end of a file of the directory.
   */
  public Process start(Path output, Map<String, String> environment, List<String> command)
      throws IOException {
    List<String> detached = new ArrayList<>(List.of("setsid"));
    detached.addAll(command);
    ProcessBuilder builder =
        new ProcessBuilder(detached)
            .redirectInput(Path.of("/dev/null").toFile())
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(directory.resolve(output).toFile()));
    builder.environment().putAll(environment);
    return builder.start();
  }

  /** The processes that belong to the directory at this moment. */
  public List<Long> alive() throws IOException {
    try (Stream<Path> processes = Files.list(Path.of("/proc"))) {
      return processes
          .map(process -> process.getFileName().toString())
          .filter(name -> name.chars().allMatch(Character::isDigit))
          .map(Long::parseLong)
          .filter(this::owns)
          .toList();
    }
  }

  private boolean owns(long pid) {
    try {
      return Files.readSymbolicLink(Path.of("/proc/" + pid + "/fd/1")).startsWith(directory);
    } catch (IOException gone) {
      return false;
    }
  }

  /** Asks a process to end, and ends it by force when it takes longer than ten seconds. */
  public static void stop(Process process) {
    process.destroy();
    try {
      if (process.waitFor(10, TimeUnit.SECONDS)) {
        return;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    process.destroyForcibly();
  }

  @Override
  public void close() throws IOException {
    guardian.getOutputStream().close();
    try {
      guardian.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // the guardian goes on by itself
    }
  }
}
