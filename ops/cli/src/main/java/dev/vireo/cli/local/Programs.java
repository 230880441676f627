package dev.vireo.cli.local;

import dev.vireo.cli.CommandException;
import dev.vireo.cli.ExitCode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;

/**
 * The programs that daemons run, copied out of the source tree: a build next door must not change
 * the jars of a running controller, or the class archive that a microVM's VMM has mapped. Each
 * build has a directory of its own, since VMMs may outlive the worker that started them.
 *
 * @param directory one build's copies
 * @param sourceTree where they were built
 */
record Programs(Path directory, Path sourceTree) {
  private static final String CONTROLLER_JAR = "controller/quarkus-run.jar";

  /** Where a module leaves its program, and what the copy is called. */
  private record Part(String builtAt, String name) {}

  private static final List<Part> PARTS =
      List.of(
          new Part("controller/target/controller", "controller"),
          new Part("worker-vmm/worker/target/worker", "worker"),
          new Part("worker-vmm/vmm/target/vmm", "vmm"),
          new Part("worker-vmm/oci/target/oci", "oci"),
          new Part("ops/emulated-node/target/emulated-node", "emulated-node"));

  /**
   * What each is run with: they do little, and share the machine with guests. Compiled lightly, but
   * early: what a create needs is compiled after some tens of them, not hundreds.
   */
  private static final List<String> JVM_FLAGS =
      List.of(
          "-XX:+UseSerialGC",
          "-XX:TieredStopAtLevel=1",
          "-XX:CompileThresholdScaling=0.1",
          "-Djnr.ffi.x86asm.enabled=false",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow");

  /**
   * @param settings of the store, as {@code -Dvireo.…}
   */
  List<String> controllerCommand(int grpcPort, int httpPort, List<String> settings) {
    List<String> command = java("-Dvireo.grpc.port=" + grpcPort, "-Dvireo.http.port=" + httpPort);
    command.addAll(settings);
    command.addAll(List.of("-jar", existing(CONTROLLER_JAR)));
    return command;
  }

  List<String> migrationCommand(StoreKind from, StoreKind to, List<String> settings) {
    List<String> command = java();
    command.addAll(settings);
    command.addAll(List.of("-cp", existing(CONTROLLER_JAR)));
    command.addAll(
        List.of("dev.vireo.controller.server.MigrateStore", from.toString(), to.toString()));
    return command;
  }

  List<String> workerCommand(String... arguments) {
    return mainClass("worker/lib", "dev.vireo.worker.Main", arguments);
  }

  List<String> emulatedNodeCommand(String... arguments) {
    return mainClass("emulated-node/lib", "dev.vireo.emulated.Main", arguments);
  }

  String vmmDirectory() {
    return existing("vmm");
  }

  private List<String> mainClass(String libraries, String mainClass, String... arguments) {
    List<String> command =
        java("-Dvireo.root=" + sourceTree, "-cp", existing(libraries) + "/*", mainClass);
    command.addAll(List.of(arguments));
    return command;
  }

  private static List<String> java(String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin/java").toString());
    command.addAll(JVM_FLAGS);
    command.addAll(List.of(arguments));
    return command;
  }

  private String existing(String part) {
    Path path = directory.resolve(part);
    if (!Files.exists(path)) {
      throw new CommandException(
          ExitCode.FAILED,
          part + " has not been built",
          "Use the launcher of the source tree, which builds it: ./vireo");
    }
    return path.toString();
  }

  /** Copies what {@code sourceTree} has built into {@code store}, unless that is there already. */
  static Programs install(Path sourceTree, Path store) {
    try {
      List<Part> built =
          PARTS.stream().filter(part -> Files.exists(sourceTree.resolve(part.builtAt))).toList();
      Path target = store.resolve(fingerprint(sourceTree, built));
      if (!Files.exists(target)) {
        Path partial =
            Files.createDirectories(store.resolve(".partial-" + ProcessHandle.current().pid()));
        for (Part part : built) {
          FileTrees.copy(sourceTree.resolve(part.builtAt), partial.resolve(part.name));
        }
        Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
      }
      return new Programs(target, sourceTree);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot copy the programs to " + store, e);
    }
  }

  /**
   * Of names, sizes and times: reading 150 MiB to see that nothing has changed would take longer.
   */
  private static String fingerprint(Path sourceTree, List<Part> parts) throws IOException {
    TreeMap<String, String> entries = new TreeMap<>();
    for (Part part : parts) {
      for (Path file : FileTrees.list(sourceTree.resolve(part.builtAt))) {
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        if (attributes.isRegularFile()) {
          entries.put(
              sourceTree.relativize(file).toString(),
              attributes.size() + " " + attributes.lastModifiedTime().toMillis());
        }
      }
    }
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256")
              .digest(entries.toString().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }
}
