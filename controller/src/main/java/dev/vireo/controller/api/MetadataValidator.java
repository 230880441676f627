package dev.vireo.controller.api;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Metadata;
import dev.vireo.proto.v1.MicroVmSpec;
import java.util.regex.Pattern;

/** What a guest is to be told of itself: all of it is carried to its node, and kept in memory. */
final class MetadataValidator {
  static final int MAX_USER_DATA_BYTES = 64 << 10;
  static final int MAX_ATTRIBUTES = 64;
  static final int MAX_VALUE_BYTES = 4 << 10;
  static final int MAX_ATTRIBUTES_BYTES = 32 << 10;

  private static final String FIELD = "spec.metadata";

  /** A part of a URL's path, without anything that would have to be escaped. */
  private static final Pattern KEY =
      Pattern.compile("[A-Za-z0-9]([-A-Za-z0-9._]{0,61}[A-Za-z0-9])?");

  private MetadataValidator() {}

  static void validate(MicroVmSpec spec, Violations violations) {
    if (!spec.hasContainer() && !spec.hasVsock()) {
      violations.add(
          FIELD,
          ErrorReason.FIELD_UNSUPPORTED,
          "needs a way from the guest to its node: a container, or a vsock device.");
    }
    Metadata metadata = spec.getMetadata();
    violations.invalidIf(
        metadata.getUserData().size() > MAX_USER_DATA_BYTES,
        FIELD + ".user_data",
        "has %d bytes; at most %d.",
        metadata.getUserData().size(),
        MAX_USER_DATA_BYTES);
    validateAttributes(metadata, violations);
  }

  private static void validateAttributes(Metadata metadata, Violations violations) {
    String field = FIELD + ".attributes";
    violations.invalidIf(
        metadata.getAttributesCount() > MAX_ATTRIBUTES,
        field,
        "has %d entries; at most %d.",
        metadata.getAttributesCount(),
        MAX_ATTRIBUTES);
    int all = 0;
    for (var attribute : metadata.getAttributesMap().entrySet()) {
      int bytes = FieldRules.bytes(attribute.getValue());
      violations.invalidIf(
          !KEY.matcher(attribute.getKey()).matches(),
          field,
          "has a key that does not match %s.",
          KEY.pattern());
      violations.invalidIf(
          bytes > MAX_VALUE_BYTES,
          field,
          "has a value of %d bytes; at most %d. More is for user_data.",
          bytes,
          MAX_VALUE_BYTES);
      all += attribute.getKey().length() + bytes;
    }
    violations.invalidIf(
        all > MAX_ATTRIBUTES_BYTES,
        field,
        "have %d bytes together; at most %d. More is for user_data.",
        all,
        MAX_ATTRIBUTES_BYTES);
  }
}
