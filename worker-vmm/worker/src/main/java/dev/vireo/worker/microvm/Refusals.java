package dev.vireo.worker.microvm;

import static dev.vireo.proto.errors.ErrorReason.CONTAINER_IMAGE_UNAVAILABLE;
import static dev.vireo.proto.errors.ErrorReason.INTERNAL;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.worker.boot.RejectedException;
import java.util.concurrent.CompletionException;
import org.jspecify.annotations.Nullable;

/** Why a launch was refused, as said by whom it needed, in the words of the public contract. */
final class Refusals {
  private Refusals() {}

  /** By a VMM: its fields are those of the spec. */
  static RejectedException byVmm(VmmResponse response) {
    String field = response.getErrorField();
    return new RejectedException(
        reasonOf(response.getErrorReason()),
        field.isEmpty() || field.startsWith("spec.") ? field : "spec." + field,
        response.getErrorMessage());
  }

  private static ErrorReason reasonOf(String name) {
    for (ErrorReason reason : ErrorReason.values()) {
      if (reason.name().equals(name)) {
        return reason;
      }
    }
    return INTERNAL;
  }

  /** By who was to get a container's image. */
  static RejectedException byImage(String image, @Nullable Throwable failure) {
    Throwable why = cause(failure);
    return why instanceof RejectedException rejected
        ? rejected
        : new RejectedException(
            CONTAINER_IMAGE_UNAVAILABLE,
            "spec.container.image",
            "image \"%s\": %s".formatted(image, why));
  }

  /** What a future failed with. */
  static @Nullable Throwable cause(@Nullable Throwable failure) {
    return failure instanceof CompletionException && failure.getCause() != null
        ? failure.getCause()
        : failure;
  }
}
