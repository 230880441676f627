package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import java.time.Duration;
import java.util.Optional;

/** One part of a commit, done only if the key is as the writer believes. */
public sealed interface Write {
  /** As {@link #expectedVersion}: the key must not exist. */
  long ABSENT = 0;

  String key();

  /** The version that the key's entry must have, or {@link #ABSENT}. */
  long expectedVersion();

  /**
   * Sets a key's value.
   *
   * @param lease after which the key may go by itself; it never goes earlier
   */
  record Put(String key, long expectedVersion, ByteString value, Optional<Duration> lease)
      implements Write {
    public Put(String key, long expectedVersion, ByteString value) {
      this(key, expectedVersion, value, Optional.empty());
    }
  }

  /** Removes a key. */
  record Delete(String key, long expectedVersion) implements Write {}
}
