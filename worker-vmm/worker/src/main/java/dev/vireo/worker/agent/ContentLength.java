package dev.vireo.worker.agent;

import java.util.Optional;

/** Counts the content of files against the sizes that their entries have announced. */
final class ContentLength {
  private long left;

  /** A file follows. What is wrong with that, if anything. */
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
      return Optional.of("is %d bytes more than the entry's size.".formatted(bytes - left));
    }
    left -= bytes;
    return Optional.empty();
  }

  /** Nothing follows. What is wrong with that, if anything. */
  Optional<String> end() {
    return next(0);
  }
}
