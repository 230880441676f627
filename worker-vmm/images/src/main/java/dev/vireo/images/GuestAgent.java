package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.INPUT_MISSING;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * The guest's agent of {@code ops/guest/agent}, which its Makefile compiles.
 *
 * @param source its directory
 * @param contract {@code agent.proto}, which it is made of too
 */
record GuestAgent(Path source, Path contract) {
  private static final String PROGRAM = "vireo-agent";

  static GuestAgent of(Path sourceTree) {
    return new GuestAgent(
        sourceTree.resolve("ops/guest/agent"),
        sourceTree.resolve("proto/src/main/protobuf/vireo/agent/v1/agent.proto"));
  }

  /** Adds all that it is made of: the program itself need not be there. */
  Fingerprint addTo(Fingerprint fingerprint) throws ImageException {
    try (Stream<Path> sources = Files.list(source.resolve("src"))) {
      for (Path file : sources.sorted().toList()) {
        fingerprint.add(Files.readAllBytes(file));
      }
      return fingerprint
          .add(Files.readAllBytes(source.resolve("Makefile")))
          .add(Files.readAllBytes(source.resolve("fields.awk")))
          .add(Files.readAllBytes(contract));
    } catch (IOException e) {
      throw new ImageException(INPUT_MISSING, "cannot read %s: %s".formatted(source, e), e);
    }
  }

  /**
   * The program, made now if it is not up to date.
   *
   * @throws ImageException HOST_UNSUPPORTED without a compiler for it, TOOL_FAILED
   */
  byte[] program(Architecture architecture, Commands commands) throws IOException, ImageException {
    boolean isHosts = architecture == Architecture.ofHost();
    var _ = Commands.locate(isHosts ? "musl-gcc" : architecture.gnuPrefix() + "gcc");
    var _ =
        commands.runOrThrow(
            Path.of("/"), List.of("make", "-C", source.toString(), "ARCH=" + architecture.label()));
    Path build = source.resolve("build");
    return Files.readAllBytes(
        (isHosts ? build : build.resolve(architecture.label())).resolve(PROGRAM));
  }

  /**
   * An initramfs whose init it is: for guests whose root file system is on a disk that the kernel's
   * command line names. With the modules that such a guest's kernel needs added to it.
   */
  static Initramfs initramfs(byte[] program) {
    Initramfs initramfs = new Initramfs().file("init", 0755, program);
    List.of("dev", "proc", "sys", "run").forEach(initramfs::directory);
    return initramfs.characterDevice("dev/console", 5, 1);
  }
}
