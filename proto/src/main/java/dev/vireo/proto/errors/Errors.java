package dev.vireo.proto.errors;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.QuotaFailure;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Makes and reads the {@code google.rpc.Status} that every refused call carries: {@code ErrorInfo}
 * with a reason of the catalogue, {@code BadRequest} where fields are to blame, and {@code
 * RetryInfo} where a retry may help.
 */
public final class Errors {
  /**
   * Of one text, in UTF-8. A client takes 8 KiB of trailers, which have the message percent-encoded
   * and the whole status in base64; of an error that is larger it would know nothing.
   */
  private static final int MAX_TEXT_BYTES = 512;

  /** Of a status' violations, but for the last, which may be one that is told in full. */
  private static final int MAX_VIOLATIONS_BYTES = 2 << 10;

  /** Of an {@code ErrorInfo}'s metadata: how many fields are wrong, told one by one or not. */
  private static final String VIOLATIONS = "violations";

  private static final String CUT = "...";

  private Errors() {}

  /** One field that is wrong, by the public API's path ({@code spec.disks[0].source}), and why. */
  public record FieldViolation(String field, ErrorReason reason, String description) {}

  /** An error with its reason's own code. {@code metadata} names what is meant. */
  public static StatusRuntimeException of(
      ErrorReason reason, String message, Map<String, String> metadata) {
    Status.Builder status =
        Status.newBuilder()
            .setCode(reason.code().number())
            .setMessage(cut(message))
            .addDetails(Any.pack(errorInfo(reason, metadata)));
    reason
        .retryAfter()
        .ifPresent(delay ->
            status.addDetails(
                Any.pack(
                    RetryInfo.newBuilder()
                        .setRetryDelay(
                            com.google.protobuf.Duration.newBuilder()
                                .setSeconds(delay.getSeconds())
                                .setNanos(delay.getNano()))
                        .build())));
    return StatusProto.toStatusRuntimeException(status.build());
  }

  /**
   * A project's quota that does not allow for more.
   *
   * @param project its resource name
   * @param limits what of it is exceeded, each in a sentence
   */
  public static StatusRuntimeException quotaExceeded(String project, List<String> limits) {
    QuotaFailure.Builder failure = QuotaFailure.newBuilder();
    limits.forEach(
        limit -> failure.addViolationsBuilder().setSubject(project).setDescription(cut(limit)));
    ErrorReason reason = ErrorReason.QUOTA_EXCEEDED;
    return StatusProto.toStatusRuntimeException(
        Status.newBuilder()
            .setCode(reason.code().number())
            .setMessage(cut("quota of %s: %s".formatted(project, String.join("; ", limits))))
            .addDetails(Any.pack(errorInfo(reason, Map.of("name", project + "/quota"))))
            .addDetails(Any.pack(failure.build()))
            .build());
  }

  /** An error that names nothing beyond its message. */
  public static StatusRuntimeException of(ErrorReason reason, String message) {
    return of(reason, message, Map.of());
  }

  /**
   * INVALID_ARGUMENT with all violations at once, or as many as a client takes, and how many there
   * are ({@link #violationsOf}); the reason is the first one's.
   */
  public static StatusRuntimeException badRequest(List<FieldViolation> violations) {
    FieldViolation first = violations.getFirst();
    BadRequest details = details(violations);
    String message = cut(first.field() + ": " + first.description());
    if (violations.size() > 1) {
      message += " (and %d more)".formatted(violations.size() - 1);
    }
    return StatusProto.toStatusRuntimeException(
        Status.newBuilder()
            .setCode(ErrorReason.Code.INVALID_ARGUMENT.number())
            .setMessage(message)
            .addDetails(
                Any.pack(
                    errorInfo(
                        first.reason(),
                        Map.of(
                            "field",
                            first.field(),
                            VIOLATIONS,
                            Integer.toString(violations.size())))))
            .addDetails(Any.pack(details))
            .build());
  }

  private static BadRequest details(List<FieldViolation> violations) {
    BadRequest.Builder details = BadRequest.newBuilder();
    int bytes = 0;
    for (int i = 0; i < violations.size(); i++) {
      BadRequest.FieldViolation next = fieldViolation(violations.get(i));
      bytes += next.getSerializedSize();
      int left = violations.size() - i;
      if (i > 0 && left > 1 && bytes > MAX_VIOLATIONS_BYTES) {
        String rest = "is one of %d more that are wrong.".formatted(left);
        return details.addFieldViolations(next.toBuilder().setDescription(rest)).build();
      }
      details.addFieldViolations(next);
    }
    return details.build();
  }

  private static BadRequest.FieldViolation fieldViolation(FieldViolation violation) {
    return BadRequest.FieldViolation.newBuilder()
        .setField(cut(violation.field()))
        .setReason(violation.reason().name())
        .setDescription(cut(violation.description()) + " " + violation.reason().remedy())
        .build();
  }

  /** The beginning of a text that is too long, as whole characters. */
  private static String cut(String text) {
    int bytes = 0;
    int fitting = 0;
    for (int i = 0; i < text.length(); i += Character.charCount(text.codePointAt(i))) {
      if (bytes <= MAX_TEXT_BYTES - CUT.length()) {
        fitting = i;
      }
      bytes += utf8Bytes(text.codePointAt(i));
      if (bytes > MAX_TEXT_BYTES) {
        return text.substring(0, fitting) + CUT;
      }
    }
    return text;
  }

  private static int utf8Bytes(int codePoint) {
    if (codePoint < 0x80) {
      return 1;
    }
    if (codePoint < 0x800) {
      return 2;
    }
    return codePoint < 0x10000 ? 3 : 4;
  }

  /**
   * Whether a call ended because its server could not be reached, or went away. gRPC calls that
   * UNKNOWN, too, if the connection closes before anybody has said why; a controller never does.
   */
  public static boolean isConnectionLost(io.grpc.Status status) {
    return status.getCode() == io.grpc.Status.Code.UNAVAILABLE
        || status.getCode() == io.grpc.Status.Code.UNKNOWN;
  }

  /** The catalogue's reason in an error that a server sent, if it carries one that we know. */
  public static Optional<ErrorReason> reasonOf(Throwable error) {
    Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return Optional.empty();
    }
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        try {
          return Optional.of(ErrorReason.valueOf(detail.unpack(ErrorInfo.class).getReason()));
        } catch (com.google.protobuf.InvalidProtocolBufferException | IllegalArgumentException e) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }

  /** What the catalogue's reason names, by what it is; empty if the error carries none. */
  public static Map<String, String> metadataOf(Throwable error) {
    Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return Map.of();
    }
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        try {
          return detail.unpack(ErrorInfo.class).getMetadataMap();
        } catch (com.google.protobuf.InvalidProtocolBufferException e) {
          return Map.of();
        }
      }
    }
    return Map.of();
  }

  /** How many fields are wrong, by an error that a server sent; empty if it does not say so. */
  public static OptionalInt violationsOf(Throwable error) {
    String count = metadataOf(error).getOrDefault(VIOLATIONS, "");
    try {
      return count.isEmpty() ? OptionalInt.empty() : OptionalInt.of(Integer.parseInt(count));
    } catch (NumberFormatException e) {
      return OptionalInt.empty();
    }
  }

  /** After how long a server that sent this error wants to be asked again, if it said so. */
  public static Optional<Duration> retryAfter(Throwable error) {
    Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return Optional.empty();
    }
    for (Any detail : status.getDetailsList()) {
      if (detail.is(RetryInfo.class)) {
        try {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          return Optional.of(Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
        } catch (com.google.protobuf.InvalidProtocolBufferException | ArithmeticException e) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }

  private static ErrorInfo errorInfo(ErrorReason reason, Map<String, String> metadata) {
    ErrorInfo.Builder info =
        ErrorInfo.newBuilder().setDomain(ErrorReason.DOMAIN).setReason(reason.name());
    metadata.forEach((key, value) -> info.putMetadata(key, cut(value)));
    return info.build();
  }
}
