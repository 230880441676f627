package dev.vireo.controller.store;

import com.google.protobuf.ByteString;

/** What a commit did to one key. */
public sealed interface Change {
  String key();

  /** Of the commit. */
  long version();

  /** The key has this value now. */
  record Updated(Entry entry) implements Change {
    @Override
    public String key() {
      return entry.key();
    }

    @Override
    public long version() {
      return entry.version();
    }
  }

  /** The key is gone, and {@code lastValue} is what it had. */
  record Deleted(String key, ByteString lastValue, long version) implements Change {}
}
