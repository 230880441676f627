package dev.vireo.vmm.trace;

import org.jspecify.annotations.Nullable;

/**
 * A place in the code where something may be traced: while nobody asks, reading one field is all
 * that it costs.
 */
public final class TracePoint<T> {
  private volatile @Nullable T recorder;

  /** Whom to tell; null while nobody traces. To be asked once for each event. */
  public @Nullable T recorder() {
    return recorder;
  }

  /**
   * Begins to trace, or ends it with null. Who has just asked may go on with the one before for a
   * moment.
   */
  public void set(@Nullable T next) {
    recorder = next;
  }
}
