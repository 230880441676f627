package dev.vireo.cli;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.MicroVmSpec;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The kernel that boots, and the machine that it is for. */
final class KernelOptions {
  /** Which machine. */
  enum Arch {
    X86_64,
    ARM64;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** What is run if nothing is named. */
  static final String DEFAULT_IMAGE = "debian-12";

  @Option(
      names = "--kernel",
      paramLabel = "IMAGE|PATH",
      description =
          "An image of the node's store, or the absolute path of a bzImage or ELF kernel on the"
              + " node. Default: debian-12; with --image the small one, vireo-6.1, if a node has"
              + " it.")
  private @Nullable String kernel;

  @Option(
      names = "--arch",
      paramLabel = "ARCH",
      description = "${COMPLETION-CANDIDATES}. Default: the kernel's.")
  private @Nullable Arch architecture;

  /**
   * The kernel's name or path.
   *
   * @param forContainer whether it is to run a container: the server knows which is best for that
   */
  String kernel(boolean forContainer) {
    if (kernel != null) {
      return kernel;
    }
    return forContainer ? "" : DEFAULT_IMAGE;
  }

  /** If one was asked for. */
  Optional<Arch> architecture() {
    return Optional.ofNullable(architecture);
  }

  /** Sets the architecture of a spec, if one was asked for. */
  void addTo(MicroVmSpec.Builder spec) {
    if (architecture != null) {
      spec.setArchitecture(
          switch (architecture) {
            case X86_64 -> Architecture.X86_64;
            case ARM64 -> Architecture.ARM64;
          });
    }
  }
}
