package dev.vireo.controller.api;

import com.google.errorprone.annotations.FormatMethod;
import com.google.errorprone.annotations.FormatString;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.errors.Errors.FieldViolation;
import io.grpc.StatusRuntimeException;
import java.util.ArrayList;
import java.util.List;

/** Collects what is wrong with a request, so that the client hears of all of it at once. */
final class Violations {
  private final List<FieldViolation> found = new ArrayList<>();

  void add(String field, ErrorReason reason, String description) {
    found.add(new FieldViolation(field, reason, description));
  }

  void required(String field) {
    add(field, ErrorReason.FIELD_REQUIRED, "is not set.");
  }

  void invalid(String field, String description) {
    add(field, ErrorReason.FIELD_INVALID, description);
  }

  void invalidIf(boolean wrong, String field, String description) {
    if (wrong) {
      invalid(field, description);
    }
  }

  /**
   * The description is made only for who needs it: most of what is looked at is as it should be.
   */
  @FormatMethod
  void invalidIf(boolean wrong, String field, @FormatString String format, Object... arguments) {
    if (wrong) {
      invalid(field, format.formatted(arguments));
    }
  }

  boolean isEmpty() {
    return found.isEmpty();
  }

  StatusRuntimeException toException() {
    return Errors.badRequest(found);
  }

  /** Throws all that was found, if anything was. */
  void throwIfAny() {
    if (!isEmpty()) {
      throw toException();
    }
  }

  /** The refusal for want of a single field. */
  static StatusRuntimeException missing(String field) {
    return Errors.badRequest(
        List.of(new FieldViolation(field, ErrorReason.FIELD_REQUIRED, "is not set.")));
  }

  /** The refusal of a single field. */
  static StatusRuntimeException invalidField(String field, String description) {
    return Errors.badRequest(
        List.of(new FieldViolation(field, ErrorReason.FIELD_INVALID, description)));
  }
}
