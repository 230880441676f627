package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static dev.vireo.images.ImageException.Reason.TOOL_FAILED;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Runs programs of the host. An interface, so that tests can answer in their place. */
@FunctionalInterface
public interface Commands {

  /**
   * What a program has said.
   *
   * @param status its exit status; 0 is success
   */
  record Result(int status, String output, String errors) {}

  /**
   * Runs a program to its end, in the C locale.
   *
   * @param directory its working directory
   * @param command program and arguments; the program is looked for in PATH, /usr/sbin and /sbin
   * @throws ImageException HOST_UNSUPPORTED if there is no such program; TOOL_FAILED if interrupted
   */
  Result run(Path directory, List<String> command) throws ImageException;

  /**
   * Runs a program that has to succeed.
   *
   * @return its standard output
   * @throws ImageException as {@link #run}, and TOOL_FAILED with what it wrote to standard error
   */
  default String runOrThrow(Path directory, List<String> command) throws ImageException {
    Result result = run(directory, command);
    requireSuccess(command, result);
    return result.output();
  }

  /**
   * As {@link #runOrThrow}, for a program that takes long: its standard output is handed on line by
   * line.
   */
  default void followOrThrow(Path directory, List<String> command, Consumer<String> line)
      throws ImageException {
    runOrThrow(directory, command).lines().forEach(line);
  }

  /** Throws TOOL_FAILED unless the program has ended with status 0. */
  static void requireSuccess(List<String> command, Result result) throws ImageException {
    if (result.status() != 0) {
      throw new ImageException(
          TOOL_FAILED,
          "%s ended with status %d: %s"
              .formatted(String.join(" ", command), result.status(), result.errors().strip()));
    }
  }

  /** The real one. */
  static Commands ofHost() {
    return new HostCommands();
  }

  /**
   * Finds a program; one that is given with a path is where it says.
   *
   * @throws ImageException HOST_UNSUPPORTED, with the Debian package that has it where we know
   */
  static Path locate(String program) throws ImageException {
    if (program.contains("/")) {
      return Path.of(program);
    }
    String path = Optional.ofNullable(System.getenv("PATH")).orElse("/usr/bin:/bin");
    // mke2fs lives in /usr/sbin, which is not in everyone's PATH.
    return Stream.concat(Stream.of(path.split(":", -1)), Stream.of("/usr/sbin", "/sbin"))
        .filter(entry -> !entry.isEmpty())
        .map(entry -> Path.of(entry, program))
        .filter(Files::isExecutable)
        .findFirst()
        .orElseThrow(() ->
            new ImageException(
                HOST_UNSUPPORTED,
                "%s is not installed; on Debian: apt-get install %s"
                    .formatted(program, packageOf(program))));
  }

  private static String packageOf(String program) {
    return switch (program) {
      case "mke2fs" -> "e2fsprogs";
      case "dpkg-deb" -> "dpkg";
      case "apt-get", "apt-cache" -> "apt (Vireo's images are made of Debian's packages)";
      case "setpriv" -> "util-linux";
      case "musl-gcc" -> "musl-tools";
      case "xz" -> "xz-utils";
      case "tar2sqfs" -> "squashfs-tools-ng";
      case "aarch64-linux-gnu-gcc" -> "gcc-aarch64-linux-gnu";
      case "qemu-system-x86_64" -> "qemu-system-x86";
      case "qemu-system-aarch64" -> "qemu-system-arm";
      default -> program;
    };
  }
}
