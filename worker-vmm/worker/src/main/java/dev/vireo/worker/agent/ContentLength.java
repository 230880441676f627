package dev.vireo.worker.agent;

import java.util.Optional;

/** Counts content against the lengths that were announced: of files, of the body of a request. */
final class ContentLength {
  private long left;

  /** So much is announced. What is wrong with that, if anything. */
  Optional<String> next(long size) {
    if (left != 0) {
      return Optional.of("comes %d bytes too early.".formatted(left));
    }
    left = size;
    return Optional.empty();
  }

  /** So many bytes follow. What is wrong with that, if anything. */
  Optional<String> add(int bytes) {
    if (bytes > left) {
      return Optional.of("is %d bytes more than was announced.".formatted(bytes - left));
    }
    left -= bytes;
    return Optional.empty();
  }

  /** Nothing follows. What is wrong with that, if anything. */
  Optional<String> end() {
    return next(0);
  }
}
