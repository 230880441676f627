package dev.vireo.cli.local;

import dev.vireo.cli.CommandException;
import dev.vireo.cli.ExitCode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * The daemons of one state directory, known again by their records there, with what is remembered
 * of them in small files beside. Locked for as long as this object is open.
 */
final class Daemons implements AutoCloseable {
  static final Duration START_TIMEOUT = Duration.ofSeconds(60);
  static final Duration STOP_GRACE = Duration.ofSeconds(15);
  private static final Duration POLL = Duration.ofMillis(50);

  private final Path state;
  private final Path sourceTree;
  private final Path cache;
  private final Progress progress;
  private final FileChannel lock;
  private final Deque<Daemon> started = new ArrayDeque<>();
  private boolean closing;

  /**
   * Locks the state directory, which is made if it is missing.
   *
   * @param sourceTree where the daemons' programs have been built
   * @param cache what can be made again, for all daemons
   */
  Daemons(Path state, Path sourceTree, Path cache, Progress progress) {
    this.state = state;
    this.sourceTree = sourceTree;
    this.cache = cache;
    this.progress = progress;
    try {
      Files.createDirectories(directory());
      lock =
          FileChannel.open(
              directory().resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (!tryLock(lock)) {
        lock.close();
        throw new CommandException(
            ExitCode.REFUSED,
            "another vireo command is starting or stopping daemons here",
            "Wait for it, or use another state directory: VIREO_STATE_DIR=…");
      }
    } catch (IOException e) {
      throw new CommandException(
          ExitCode.FAILED,
          "cannot use the state directory %s: %s".formatted(state, e),
          "Choose another one: VIREO_STATE_DIR=…");
    }
  }

  private static boolean tryLock(FileChannel file) throws IOException {
    try {
      return file.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      // This process has it.
      return false;
    }
  }

  /** The one of this name, whether it runs or not. */
  Daemon get(String name) {
    return new Daemon(directory(), name);
  }

  /** Of those of which there may be several: the first is {@code name}, the next {@code name-2}. */
  Daemon get(String name, int number) {
    return get(number == 1 ? name : name + "-" + number);
  }

  /** A file about them that outlives them. */
  Path file(String name) {
    return directory().resolve(name);
  }

  /** Where the daemons keep what is theirs. */
  Path state() {
    return state;
  }

  /**
   * Starts one. Not while {@link #stopAll} or {@link #abandon} is at work in another thread, a
   * signal's: what is copied and started then would be missed.
   */
  synchronized void launch(Daemon daemon, Function<Programs, List<String>> command) {
    if (closing) {
      throw new CommandException(ExitCode.INTERRUPTED, "interrupted", "");
    }
    daemon.start(command.apply(programs()), variables());
    started.push(daemon);
  }

  /** Runs one to its end, also while others are being stopped. */
  void run(Daemon daemon, Function<Programs, List<String>> command) {
    daemon.start(command.apply(programs()), variables());
    daemon.awaitEnd(STOP_GRACE);
    daemon.stop(STOP_GRACE);
  }

  private Programs programs() {
    return Programs.install(sourceTree, state.resolve("programs"));
  }

  private Map<String, String> variables() {
    return Map.of("VIREO_STATE_DIR", state.toString(), "VIREO_CACHE_DIR", cache.toString());
  }

  /**
   * Waits until one is of use. If that takes too long, it is stopped, unless another command has
   * started it: that one has work, and what it waits for may be somebody else.
   */
  void awaitReady(Daemon daemon, Duration timeout, BooleanSupplier ready) {
    long end = System.nanoTime() + timeout.toNanos();
    while (!ready.getAsBoolean()) {
      if (!daemon.isRunning()) {
        throw failedStart(daemon, ExitCode.FAILED, "ended while it started");
      }
      if (System.nanoTime() - end > 0) {
        String what = "was not ready after " + timeout.toSeconds() + " s";
        if (!isStartedHere(daemon)) {
          throw failedStart(daemon, ExitCode.TIMED_OUT, what + ", and goes on");
        }
        daemon.stop(STOP_GRACE);
        throw failedStart(daemon, ExitCode.TIMED_OUT, what);
      }
      progress.still(daemon::lastLine);
      LockSupport.parkNanos(POLL.toNanos());
    }
  }

  private synchronized boolean isStartedHere(Daemon daemon) {
    return started.stream().anyMatch(each -> each.name().equals(daemon.name()));
  }

  private static CommandException failedStart(Daemon daemon, int exitCode, String what) {
    return new CommandException(
        exitCode,
        "%s %s; its last words:%n%s".formatted(daemon.name(), what, daemon.logTail().indent(4)),
        "The whole log: " + daemon.log());
  }

  /** Those of this name that run, with a number or without. */
  List<Daemon> running(String name) {
    return running().filter(daemon -> daemon.name().startsWith(name)).toList();
  }

  private Stream<Daemon> running() {
    try (Stream<Path> directories = Files.list(directory())) {
      return directories
          .filter(Files::isDirectory)
          .map(path -> get(path.getFileName().toString()))
          .filter(Daemon::isRunning)
          .toList()
          .stream();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Stops all that run. Returns their names.
   *
   * @param last what the names of those begin with that are stopped after all others, in this order
   */
  synchronized List<String> stopAll(List<String> last) {
    closing = true;
    List<String> stopped = new ArrayList<>();
    for (Daemon daemon :
        running().sorted(Comparator.comparingInt(each -> order(each, last))).toList()) {
      progress.step("stopping " + daemon.name());
      daemon.stop(STOP_GRACE);
      stopped.add(daemon.name());
    }
    return stopped;
  }

  private static int order(Daemon daemon, List<String> last) {
    for (int i = 0; i < last.size(); i++) {
      if (daemon.name().startsWith(last.get(i))) {
        return i;
      }
    }
    return -1;
  }

  /** Stops what this object has started, the last first: somebody thought better of it. */
  synchronized void abandon() {
    closing = true;
    while (!started.isEmpty()) {
      Daemon daemon = started.pop();
      progress.step("stopping " + daemon.name());
      daemon.stop(STOP_GRACE);
    }
  }

  /** The programs that the daemons ran: none does any more. */
  void deletePrograms() {
    FileTrees.delete(state.resolve("programs"));
  }

  private Path directory() {
    return state.resolve("daemons");
  }

  /** Lets the next command in. The daemons go on. */
  @Override
  public void close() {
    try {
      lock.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
