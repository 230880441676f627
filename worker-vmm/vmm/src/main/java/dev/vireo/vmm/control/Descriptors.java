package dev.vireo.vmm.control;

import dev.vireo.linux.Fd;
import java.util.List;

/** The descriptors that came with a create request: each is taken by whoever will own it. */
final class Descriptors implements AutoCloseable {
  private final Fd[] byIndex;

  Descriptors(List<Fd> descriptors) {
    this.byIndex = descriptors.toArray(new Fd[0]);
  }

  /**
   * The descriptor at an index of the message's list.
   *
   * @throws IllegalArgumentException if there is none: the worker and we do not agree
   */
  Fd get(int index) {
    if (index < 0 || index >= byIndex.length) {
      throw new IllegalArgumentException(
          "descriptor " + index + " of " + byIndex.length + " that came with the message");
    }
    return byIndex[index];
  }

  /** Another one of the same open file, which the caller owns. */
  Fd take(int index) {
    return get(index).duplicate();
  }

  /** Closes them all. */
  @Override
  public void close() {
    for (Fd descriptor : byIndex) {
      descriptor.close();
    }
  }
}
