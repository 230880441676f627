package dev.vireo.cli;

/** A command that cannot go on, with what to tell the user and how to exit. */
public final class CommandException extends RuntimeException {
  private final int exitCode;
  private final String problem;
  private final String remedy;

  /** {@code remedy}: what to do about it; empty when there is nothing to add to the problem. */
  public CommandException(int exitCode, String problem, String remedy) {
    super(problem);
    this.exitCode = exitCode;
    this.problem = problem;
    this.remedy = remedy;
  }

  public int exitCode() {
    return exitCode;
  }

  public String problem() {
    return problem;
  }

  public String remedy() {
    return remedy;
  }
}
