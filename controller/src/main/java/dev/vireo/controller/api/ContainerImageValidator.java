package dev.vireo.controller.api;

import dev.vireo.proto.v1.DeleteContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageStart;

/**
 * What can be said of a client's messages about nodes' images by looking at each. Whether a name is
 * one, the node knows.
 */
final class ContainerImageValidator {
  /** Of docker's: registry, repository, tag and digest. */
  private static final int MAX_NAME_CHARACTERS = 512;

  private ContainerImageValidator() {}

  static Violations load(LoadContainerImageRequest request, boolean first) {
    Violations violations = new Violations();
    switch (request.getRequestCase()) {
      case START -> {
        LoadContainerImageStart start = request.getStart();
        StreamRules.once(first, violations);
        name("start.image_name", start.getImageName(), violations);
        name("start.archive_image", start.getArchiveImage(), violations);
        violations.invalidIf(start.getSizeBytes() < 0, "start.size_bytes", "is 2^63 or more.");
      }
      case DATA -> StreamRules.data("data", request.getData(), first, violations);
      case REQUEST_NOT_SET -> StreamRules.notSet(first, "request", violations);
    }
    return violations;
  }

  static Violations delete(DeleteContainerImageRequest request) {
    Violations violations = new Violations();
    if (request.getImage().isEmpty()) {
      violations.required("image");
    }
    name("image", request.getImage(), violations);
    return violations;
  }

  private static void name(String field, String name, Violations violations) {
    violations.invalidIf(
        name.length() > MAX_NAME_CHARACTERS || FieldRules.hasNul(name),
        field,
        "must have at most %d characters, and no NUL.",
        MAX_NAME_CHARACTERS);
  }
}
