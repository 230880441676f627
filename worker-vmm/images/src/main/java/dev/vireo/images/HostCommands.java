package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.TOOL_FAILED;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** Programs as processes of this host, each ended if it is not waited for to its end. */
final class HostCommands implements Commands {
  @Override
  public Result run(Path directory, List<String> command) throws ImageException {
    StringBuilder output = new StringBuilder();
    Result rest = run(directory, command, stream -> output.append(text(stream)));
    return new Result(rest.status(), output.toString(), rest.errors());
  }

  @Override
  public void followOrThrow(Path directory, List<String> command, Consumer<String> line)
      throws ImageException {
    Result result = run(directory, command, stream -> lines(stream, line));
    Commands.requireSuccess(command, result);
  }

  /** Runs a program whose output goes to {@code reader} as it comes; the result has none. */
  private static Result run(Path directory, List<String> command, Consumer<InputStream> reader)
      throws ImageException {
    List<String> resolved = new ArrayList<>(command);
    resolved.set(0, Commands.locate(command.getFirst()).toString());
    ProcessBuilder builder = new ProcessBuilder(resolved).directory(directory.toFile());
    builder.environment().put("LC_ALL", "C");
    try {
      Process process = builder.start();
      process.getOutputStream().close();
      try {
        CompletableFuture<String> errors =
            CompletableFuture.supplyAsync(() -> text(process.getErrorStream()));
        reader.accept(process.getInputStream());
        return new Result(process.waitFor(), "", errors.join());
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

  private static void lines(InputStream stream, Consumer<String> line) {
    try (var reader = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
      reader.lines().forEach(line);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String text(InputStream stream) {
    try (stream) {
      return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
