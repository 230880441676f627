package dev.vireo.cli;

import dev.vireo.proto.v1.RegisterPageMode;
import dev.vireo.proto.v1.Vmm;
import dev.vireo.proto.v1.VmmCompiler;
import picocli.CommandLine.Option;

/** How the VMM works. */
final class VmmOptions {
  /** How thoroughly the VMM compiles itself. */
  enum CompilerChoice {
    AUTO,
    LEAN,
    FAST;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  /** How the guest reads its devices' registers. */
  enum RegisterPage {
    AUTO,
    LAZY,
    STRICT,
    CLASSIC;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  @Option(
      names = "--register-page",
      paramLabel = "MODE",
      defaultValue = "auto",
      description =
          "How the guest reads device registers and acknowledges interrupts:"
              + " ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}, without exits where the node"
              + " can do it.")
  private RegisterPage registerPage = RegisterPage.AUTO;

  @Option(
      names = "--compiler",
      paramLabel = "KIND",
      defaultValue = "auto",
      description =
          "How the VMM compiles itself: ${COMPLETION-CANDIDATES}. fast: a fifth less CPU time for"
              + " each I/O of a long-lived guest, some MiB more memory, a slower start. Default:"
              + " ${DEFAULT-VALUE}, which is lean.")
  private CompilerChoice compiler = CompilerChoice.AUTO;

  /** As they were given. */
  Vmm vmm() {
    return Vmm.newBuilder()
        .setRegisterPage(
            switch (registerPage) {
              case AUTO -> RegisterPageMode.REGISTER_PAGE_AUTO;
              case LAZY -> RegisterPageMode.REGISTER_PAGE_LAZY;
              case STRICT -> RegisterPageMode.REGISTER_PAGE_STRICT;
              case CLASSIC -> RegisterPageMode.REGISTER_PAGE_CLASSIC;
            })
        .setCompiler(
            switch (compiler) {
              case AUTO -> VmmCompiler.VMM_COMPILER_AUTO;
              case LEAN -> VmmCompiler.VMM_COMPILER_LEAN;
              case FAST -> VmmCompiler.VMM_COMPILER_FAST;
            })
        .build();
  }
}
