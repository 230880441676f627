package dev.vireo.controller.api;

import com.google.protobuf.ByteString;

/** What holds of the messages of every client's stream: a start comes first, and once. */
final class StreamRules {
  static final int MAX_DATA_BYTES = 64 << 10;

  private StreamRules() {}

  static void once(boolean first, Violations violations) {
    violations.invalidIf(!first, "start", "comes once.");
  }

  static void afterStart(String field, boolean first, Violations violations) {
    if (first) {
      violations.required("start");
      violations.invalid(field, "comes after start.");
    }
  }

  /** Of a message that is none: the first is to be a start, others what the field names. */
  static void notSet(boolean first, String field, Violations violations) {
    violations.required(first ? "start" : field);
  }

  static void data(String field, ByteString data, boolean first, Violations violations) {
    afterStart(field, first, violations);
    violations.invalidIf(
        data.size() > MAX_DATA_BYTES,
        field,
        "has %d bytes; at most %d.",
        data.size(),
        MAX_DATA_BYTES);
  }
}
