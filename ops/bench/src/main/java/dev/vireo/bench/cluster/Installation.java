package dev.vireo.bench.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What the build has made, by its place in the source tree.
 *
 * @param root the tree's top directory
 */
public record Installation(Path root) {
  /** As {@code vireo up} runs its daemons. */
  private static final List<String> JVM_FLAGS =
      List.of(
          "-XX:+UseSerialGC",
          "-XX:TieredStopAtLevel=1",
          "-XX:CompileThresholdScaling=0.1",
          "-Djnr.ffi.x86asm.enabled=false",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow");

  private static final String BUILD_REMEDY = "; build it first: ./mvnw package";

  /** From the system property {@code vireo.root}, else the working directory or one above it. */
  public static Installation find() throws IOException {
    String given = System.getProperty("vireo.root");
    Path start = Path.of(given == null ? "" : given).toAbsolutePath();
    for (Path directory = start; directory != null; directory = directory.getParent()) {
      if (Files.isRegularFile(directory.resolve("proto/ERRORS.md"))) {
        return new Installation(directory.normalize());
      }
    }
    throw new IOException("no Vireo source tree at or above " + start + "; set -Dvireo.root=DIR");
  }

  /** The probe guest. */
  public Path probe() throws IOException {
    Path elf = root.resolve("ops/guest/probe/build/probe.elf");
    if (!Files.isRegularFile(elf)) {
      throw new IOException(elf + " does not exist; build it first: make -C ops/guest/probe");
    }
    return elf;
  }

  /** The runnable VMM. */
  public Path vmm() throws IOException {
    return existing("worker-vmm/vmm/target/vmm");
  }

  /** A controller with these settings, as {@code -Dvireo.…}. */
  public List<String> controllerCommand(List<String> properties) throws IOException {
    List<String> command = java();
    command.addAll(properties);
    command.addAll(
        List.of("-jar", existing("controller/target/controller/quarkus-run.jar").toString()));
    return command;
  }

  /** A worker with these options. */
  public List<String> workerCommand(List<String> arguments) throws IOException {
    List<String> command = java();
    command.addAll(
        List.of(
            "-cp",
            existing("worker-vmm/worker/target/worker/lib") + "/*",
            "dev.vireo.worker.Main"));
    command.addAll(arguments);
    return command;
  }

  /** The emulated node's program with these arguments. */
  public List<String> emulatedNodeCommand(String... arguments) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                existing("ops/emulated-node/target/emulated-node/lib") + "/*",
                "dev.vireo.emulated.Main"));
    command.addAll(List.of(arguments));
    return command;
  }

  private static List<String> java() {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(JVM_FLAGS);
    return command;
  }

  private Path existing(String path) throws IOException {
    Path file = root.resolve(path);
    if (!Files.exists(file)) {
      throw new IOException(file + " does not exist" + BUILD_REMEDY);
    }
    return file;
  }
}
