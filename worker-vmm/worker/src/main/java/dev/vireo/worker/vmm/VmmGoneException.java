package dev.vireo.worker.vmm;

/** A VMM process could not be started, or ended while an answer was due. */
public final class VmmGoneException extends Exception {
  private static final long serialVersionUID = 1L;

  public VmmGoneException(String message) {
    super(message);
  }

  public VmmGoneException(String message, Throwable cause) {
    super(message, cause);
  }
}
