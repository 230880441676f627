package dev.vireo.cli;

import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code vireo completion}. */
@Command(
    name = "completion",
    description = "Prints a completion script: source <(vireo completion bash)")
final class CompletionCommand implements Callable<Integer> {
  /** The shells it is made for; the script serves both. */
  enum Shell {
    BASH,
    ZSH;

    @Override
    public String toString() {
      return Text.lower(this);
    }
  }

  private final Environment environment;

  @Spec private @Nullable CommandSpec spec;

  @Parameters(paramLabel = "SHELL", description = "${COMPLETION-CANDIDATES}.")
  private Shell shell = Shell.BASH;

  CompletionCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    if (shell == Shell.ZSH) {
      environment.out().println("autoload -U +X bashcompinit && bashcompinit");
    }
    CommandSpec own = java.util.Objects.requireNonNull(spec);
    environment.out().println(AutoComplete.bash("vireo", own.root().commandLine()));
    return ExitCode.OK;
  }
}
