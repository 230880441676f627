package dev.vireo.controller.store;

import com.google.protobuf.ByteString;

/** One part of a commit, done only if the key is as the writer believes. */
public sealed interface Write {
  /** As {@link #expectedVersion}: the key must not exist. */
  long ABSENT = 0;

  String key();

  /** The version that the key's entry must have, or {@link #ABSENT}. */
  long expectedVersion();

  /** Sets a key's value, and how long it stays. */
  record Put(String key, long expectedVersion, ByteString value, Lifetime lifetime)
      implements Write {
    public Put(String key, long expectedVersion, ByteString value) {
      this(key, expectedVersion, value, Lifetime.UNLIMITED);
    }
  }

  /** Removes a key. */
  record Delete(String key, long expectedVersion) implements Write {}

  /** Leaves a key as it is: the others are done only while it is so. Not for a commit by itself. */
  record Unchanged(String key, long expectedVersion) implements Write {}
}
