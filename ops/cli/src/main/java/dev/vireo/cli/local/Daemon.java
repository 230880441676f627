package dev.vireo.cli.local;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One program that goes on after the command that started it, known again by its record. */
final class Daemon {
  /**
   * Leads a session of its own, and writes its record before it becomes the program: so there is no
   * moment at which it runs and nobody could find it.
   */
  private static final String RECORD_THEN_RUN =
      """
      record=$1; shift
      echo "$$ $(cut -d ' ' -f 22 /proc/$$/stat) $(cat /proc/sys/kernel/random/boot_id)" >"$record.new"
      mv "$record.new" "$record"
      exec "$@"
      """;

  private static final int LOG_TAIL_LINES = 15;

  private final String name;
  private final Path directory;

  Daemon(Path daemons, String name) {
    this.name = name;
    this.directory = daemons.resolve(name);
  }

  String name() {
    return name;
  }

  Path log() {
    return directory.resolve("log");
  }

  /** Starts it; its output begins a new log, the last one is kept beside it. */
  void start(List<String> command, Map<String, String> environment) {
    try {
      Files.createDirectories(directory);
      if (Files.exists(log())) {
        Files.move(log(), directory.resolve("log.previous"), StandardCopyOption.REPLACE_EXISTING);
      }
      List<String> wrapped =
          new ArrayList<>(
              List.of("setsid", "sh", "-c", RECORD_THEN_RUN, name, record().toString()));
      wrapped.addAll(command);
      ProcessBuilder builder =
          new ProcessBuilder(wrapped)
              .directory(directory.toFile())
              .redirectInput(Path.of("/dev/null").toFile())
              .redirectErrorStream(true)
              .redirectOutput(log().toFile());
      builder.environment().putAll(environment);
      Process shell = builder.start();
      while (process().isEmpty() && shell.isAlive()) {
        Thread.onSpinWait();
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot start " + name, e);
    }
  }

  /** The running process, if it is this daemon's. */
  Optional<ProcessHandle> process() {
    return ProcessIdentity.read(record()).flatMap(ProcessIdentity::handle);
  }

  boolean isRunning() {
    return process().isPresent();
  }

  /** Asks it to end, after {@code grace} makes it; returns once it is gone and forgets it. */
  void stop(Duration grace) {
    process()
        .ifPresent(process -> {
          process.destroy();
          if (!awaitEnd(process, grace)) {
            process.destroyForcibly();
            awaitEnd(process, Duration.ofSeconds(10));
          }
        });
    try {
      Files.deleteIfExists(record());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether it ended by itself within that time. */
  boolean awaitEnd(Duration timeout) {
    return process().map(process -> awaitEnd(process, timeout)).orElse(true);
  }

  /** The last lines it has written. */
  String logTail() {
    List<String> lines = logLines();
    return String.join(
        "\n", lines.subList(Math.max(0, lines.size() - LOG_TAIL_LINES), lines.size()));
  }

  /** The last line it has written; empty if there is none. */
  String lastLine() {
    List<String> lines = logLines();
    return lines.isEmpty() ? "" : lines.getLast();
  }

  private List<String> logLines() {
    try {
      return new String(Files.readAllBytes(log()), StandardCharsets.UTF_8).lines().toList();
    } catch (IOException e) {
      return List.of("(no log)");
    }
  }

  private Path record() {
    return directory.resolve("process");
  }

  private static boolean awaitEnd(ProcessHandle process, Duration timeout) {
    try {
      process.onExit().get(timeout.toMillis(), TimeUnit.MILLISECONDS);
      return true;
    } catch (TimeoutException | ExecutionException e) {
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
