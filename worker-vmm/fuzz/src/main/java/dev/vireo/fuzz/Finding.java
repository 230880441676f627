package dev.vireo.fuzz;

/** A guest hurt somebody other than itself. */
final class Finding extends AssertionError {
  private static final long serialVersionUID = 1;

  Finding(String message) {
    super(message);
  }

  Finding(String message, Throwable cause) {
    super(message, cause);
  }
}
