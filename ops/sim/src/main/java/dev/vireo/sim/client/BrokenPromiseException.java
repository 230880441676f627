package dev.vireo.sim.client;

/** The control plane did what it had said it would not. */
public final class BrokenPromiseException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  public BrokenPromiseException(String how) {
    super(how);
  }
}
