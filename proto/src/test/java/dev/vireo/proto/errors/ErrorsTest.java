package dev.vireo.proto.errors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.rpc.BadRequest;
import com.google.rpc.Status;
import dev.vireo.proto.errors.Errors.FieldViolation;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** However much there is to say, an error is one that its client takes. */
final class ErrorsTest {
  /** Of all trailers together, unless a client has set something else. */
  private static final int CLIENT_TAKES = 8 << 10;

  @Test
  void ofManyViolationsTheFirstAreToldAndHowManyThereAreBeside() throws Exception {
    List<FieldViolation> violations =
        IntStream.range(0, 500)
            .mapToObj(i -> new FieldViolation("f" + i, ErrorReason.FIELD_INVALID, "is wrong."))
            .toList();

    StatusRuntimeException error = Errors.badRequest(violations);

    assertFits(error);
    Status status = StatusProto.fromThrowable(error);
    BadRequest told = status.getDetails(1).unpack(BadRequest.class);
    int last = told.getFieldViolationsCount() - 1;
    assertTrue(last > 10);
    assertEquals("f" + last, told.getFieldViolations(last).getField());
    assertEquals(
        "is one of %d more that are wrong.".formatted(500 - last),
        told.getFieldViolations(last).getDescription());
    assertEquals("f0: is wrong. (and 499 more)", status.getMessage());
    assertEquals(OptionalInt.of(500), Errors.violationsOf(error));
  }

  @Test
  void whatWouldStandForTheOneThatIsLeftIsThatOne() throws Exception {
    List<FieldViolation> violations =
        IntStream.range(0, 500)
            .mapToObj(i -> new FieldViolation("f" + i, ErrorReason.FIELD_INVALID, "is wrong."))
            .toList();
    int told = told(Errors.badRequest(violations)).size();

    StatusRuntimeException oneMore = Errors.badRequest(violations.subList(0, told));

    assertEquals(told, told(oneMore).size());
    assertTrue(told(oneMore).getLast().getDescription().startsWith("is wrong. "));
  }

  private static List<BadRequest.FieldViolation> told(StatusRuntimeException error)
      throws Exception {
    return StatusProto.fromThrowable(error)
        .getDetails(1)
        .unpack(BadRequest.class)
        .getFieldViolationsList();
  }

  @Test
  void longWordsAreCut() {
    String words = "\u20ac\ud83d\ude00".repeat(5_000);

    assertFits(
        Errors.badRequest(List.of(new FieldViolation(words, ErrorReason.FIELD_INVALID, words))));
    FieldViolation large = new FieldViolation(words, longest(), words);
    FieldViolation rest = new FieldViolation("f", longest(), words.substring(0, 400));
    assertFits(Errors.badRequest(List.of(large, large)));
    assertFits(Errors.badRequest(List.of(large, rest, large)));
    assertFits(Errors.of(ErrorReason.INTERNAL, words, Map.of("name", words)));
    assertFits(Errors.quotaExceeded("projects/p", List.of(words, words)));
    assertTrue(
        Optional.ofNullable(Errors.of(ErrorReason.INTERNAL, words).getStatus().getDescription())
            .filter(message -> message.endsWith("\ud83d\ude00...") || message.endsWith("\u20ac..."))
            .isPresent());
  }

  @Test
  void shortWordsAreLeftAsTheyAre() {
    assertEquals(
        "a".repeat(500),
        Errors.of(ErrorReason.INTERNAL, "a".repeat(500)).getStatus().getDescription());
  }

  /** Of those for a wrong field, the one whose remedy takes the most. */
  private static ErrorReason longest() {
    return Arrays.stream(ErrorReason.values())
        .filter(reason -> reason.code() == ErrorReason.Code.INVALID_ARGUMENT)
        .max(Comparator.comparingInt(reason -> reason.remedy().length()))
        .orElseThrow();
  }

  /** As gRPC sends it: the details in base64, and each byte of the message as up to three. */
  private static void assertFits(StatusRuntimeException error) {
    Status status = StatusProto.fromThrowable(error);
    int details = (status.getSerializedSize() + 2) / 3 * 4;
    int message = status.getMessageBytes().size() * 3;
    assertTrue(details + message + 256 < CLIENT_TAKES, () -> details + " and " + message);
  }
}
