package dev.vireo.emulated;

import static java.util.stream.Collectors.joining;

import dev.vireo.images.Commands;
import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Stream;

/**
 * The worker as the outer machine runs it: interpreted, and with its classes from an archive (CDS)
 * that is made on the host, where parsing and verifying them costs next to nothing. Together they
 * halve the time to its first call.
 */
final class WorkerProgram {
  private static final String ARGUMENTS_FILE = "worker.args";
  private static final String ARCHIVE = "worker.jsa";

  /** Measured: compiling costs a program that starts, does little and waits more than it brings. */
  private static final List<String> JVM_FLAGS =
      List.of(
          "-Xint",
          "-XX:+UseSerialGC",
          "-XX:-UsePerfData",
          "-Xmx96m",
          // jnr-ffi would generate and load a class for each function; its lower layer does not.
          "-Dvireo.libc=jffi",
          // As the VMM, whose module has unpacked the library.
          "-Djffi.boot.library.path=../vmm/native",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow");

  /** What the worker says once it has tried to dial, which is most of what it ever loads. */
  private static final String DIALLED = "no session with the controller";

  private static final int TRAINING_SECONDS = 20;

  private final Path directory;
  private final Path runtime;

  /**
   * @param directory with the worker's {@code lib}; gets the archive and an argument file
   * @param runtime the Java runtime of the outer machine, byte for byte
   */
  WorkerProgram(Path directory, Path runtime) {
    this.directory = directory;
    this.runtime = runtime;
  }

  /** How the outer machine's shell starts it, in its directory; the worker's options follow. */
  static String command() {
    return "java $([ ! -e %1$s ] || echo -XX:SharedArchiveFile=%1$s) @%2$s"
        .formatted(ARCHIVE, ARGUMENTS_FILE);
  }

  /** Makes the argument file: all there is where the host cannot run the outer machine's Java. */
  void prepareWithoutArchive() throws IOException {
    Files.writeString(directory.resolve(ARGUMENTS_FILE), String.join("\n", arguments()) + "\n");
  }

  /** Makes the argument file and the archive. */
  void prepare(Commands commands) throws IOException, ImageException {
    prepareWithoutArchive();
    Path classList = directory.resolve("classes.list");
    train(classList);
    addOwnClasses(classList);
    commands.runOrThrow(
        directory,
        List.of(
            java(),
            "-Xshare:dump",
            "-Xlog:disable",
            "-Xlog:all=error:stderr",
            "-XX:SharedClassListFile=" + classList,
            "-XX:SharedArchiveFile=" + ARCHIVE,
            "@" + ARGUMENTS_FILE));
    Files.delete(classList);
  }

  private String java() {
    return runtime.resolve("bin/java").toString();
  }

  private List<String> arguments() throws IOException {
    List<String> arguments = new ArrayList<>(JVM_FLAGS);
    // An archive is good for the very class path that it was made with.
    arguments.addAll(
        List.of(
            "-cp", jars().stream().map(jar -> "lib/" + jar.getFileName()).collect(joining(":"))));
    arguments.add("dev.vireo.worker.Main");
    return arguments;
  }

  private List<Path> jars() throws IOException {
    try (Stream<Path> files = Files.list(directory.resolve("lib"))) {
      return files.filter(file -> file.toString().endsWith(".jar")).sorted().toList();
    }
  }

  /** Runs the worker until it has dialled a port on which nobody listens. */
  private void train(Path classList) throws IOException {
    Process worker =
        new ProcessBuilder(
                // It would dial for ever if this process were killed.
                "setpriv",
                "--pdeathsig",
                "KILL",
                "--",
                java(),
                "-XX:DumpLoadedClassList=" + classList,
                "@" + ARGUMENTS_FILE,
                "--controller",
                "127.0.0.1:1",
                "--node-id",
                "training",
                "--emulated",
                "--pool",
                "0",
                "--vmm",
                directory.resolveSibling("vmm").toString(),
                "--state-dir",
                directory.resolve("training-state").toString())
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .start();
    Executor deadline = CompletableFuture.delayedExecutor(TRAINING_SECONDS, TimeUnit.SECONDS);
    var _ = CompletableFuture.runAsync(worker::destroyForcibly, deadline);
    try (BufferedReader output = worker.inputReader()) {
      String line = output.readLine();
      while (line != null && !line.contains(DIALLED)) {
        line = output.readLine();
      }
      // Not Process.destroy: that closes the pipe as well.
      worker.toHandle().destroy();
      output.transferTo(Writer.nullWriter());
    } finally {
      worker.onExit().join();
    }
    FileTrees.delete(directory.resolve("training-state"));
  }

  /** What the worker loads only when there is a controller. */
  private void addOwnClasses(Path classList) throws IOException {
    List<String> classes = new ArrayList<>();
    for (Path jar : jars()) {
      try (JarFile file = new JarFile(jar.toFile())) {
        file.stream()
            .map(JarEntry::getName)
            .filter(name -> name.startsWith("dev/vireo/") && name.endsWith(".class"))
            .map(name -> name.substring(0, name.length() - ".class".length()))
            .forEach(classes::add);
      }
    }
    List<String> known = Files.exists(classList) ? Files.readAllLines(classList) : List.of();
    classes.removeAll(known);
    List<String> all = new ArrayList<>(known);
    all.addAll(classes);
    Files.write(classList, all);
  }
}
