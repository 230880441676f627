package dev.vireo.controller.server;

/** The controller cannot start as it was told to; the message tells an operator what to do. */
final class StartupException extends RuntimeException {
  StartupException(String message, Throwable cause) {
    super(message, cause);
  }

  StartupException(String message) {
    super(message);
  }
}
