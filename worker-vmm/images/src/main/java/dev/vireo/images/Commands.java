package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static dev.vireo.images.ImageException.Reason.TOOL_FAILED;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
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
    if (result.status() != 0) {
      throw new ImageException(
          TOOL_FAILED,
          "%s ended with status %d: %s"
              .formatted(String.join(" ", command), result.status(), result.errors().strip()));
    }
    return result.output();
  }

  /** The real one. */
  static Commands ofHost() {
    return Commands::runOnHost;
  }

  private static Result runOnHost(Path directory, List<String> command) throws ImageException {
    List<String> resolved = new ArrayList<>(command);
    resolved.set(0, locate(command.getFirst()).toString());
    ProcessBuilder builder = new ProcessBuilder(resolved).directory(directory.toFile());
    builder.environment().put("LC_ALL", "C");
    try {
      Process process = builder.start();
      process.getOutputStream().close();
      try {
        CompletableFuture<String> errors =
            CompletableFuture.supplyAsync(() -> text(process.getErrorStream()));
        String output = text(process.getInputStream());
        return new Result(process.waitFor(), output, errors.join());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new ImageException(TOOL_FAILED, "interrupted: " + String.join(" ", command), e);
      } finally {
        process.destroyForcibly();
      }
    } catch (IOException | UncheckedIOException e) {
      throw new ImageException(
          TOOL_FAILED, "cannot run %s: %s".formatted(String.join(" ", command), e), e);
    }
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
      case "qemu-system-x86_64" -> "qemu-system-x86";
      case "qemu-system-aarch64" -> "qemu-system-arm";
      default -> program;
    };
  }

  private static String text(InputStream stream) {
    try (stream) {
      return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
