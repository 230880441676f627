package dev.vireo.controller.api;

import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Duration;
import com.google.rpc.BadRequest;
import dev.vireo.proto.errors.ErrorReason;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class FieldRulesTest {
  /** What is wrong, as {@code field description}. */
  static List<String> said(Consumer<Violations> rules) throws IOException {
    Violations violations = new Violations();
    rules.accept(violations);
    if (violations.isEmpty()) {
      return List.of();
    }
    return requireNonNull(StatusProto.fromThrowable(violations.toException()))
        .getDetails(1)
        .unpack(BadRequest.class)
        .getFieldViolationsList()
        .stream()
        .map(violation -> violation.getField() + " " + withoutRemedy(violation))
        .toList();
  }

  private static String withoutRemedy(BadRequest.FieldViolation violation) {
    String remedy = " " + ErrorReason.valueOf(violation.getReason()).remedy();
    String description = violation.getDescription();
    assertTrue(description.endsWith(remedy), description);
    return description.substring(0, description.length() - remedy.length());
  }

  private static List<String> port(int port) throws IOException {
    return said(violations -> FieldRules.port("a", port, violations));
  }

  private static List<String> portOrNone(int port) throws IOException {
    return said(violations -> FieldRules.portOrNone("a", port, violations));
  }

  @Test
  void aPortIsOneOfSixteenBits() throws Exception {
    assertEquals(List.of(), port(1));
    assertEquals(List.of(), port(65_535));
    assertEquals(List.of("a is 0; 1 to 65535."), port(0));
    assertEquals(List.of("a is 65536; 1 to 65535."), port(65_536));
    assertEquals(List.of("a is 4294967295; 1 to 65535."), port(-1));
  }

  @Test
  void orThereIsNone() throws Exception {
    assertEquals(List.of(), portOrNone(0));
    assertEquals(List.of(), portOrNone(65_535));
    assertEquals(List.of("a is 65536; 1 to 65535, or 0."), portOrNone(65_536));
    assertEquals(List.of("a is 4294967295; 1 to 65535, or 0."), portOrNone(-1));
  }

  @Test
  void aTextHasNoNul() throws Exception {
    assertEquals(List.of(), said(violations -> FieldRules.noNul("a", "b", violations)));
    assertEquals(
        List.of("a has a NUL character."),
        said(violations -> FieldRules.noNul("a", "b\0", violations)));
  }

  @Test
  void bytesAreThoseOfUtf8() {
    assertEquals(0, FieldRules.bytes(""));
    assertEquals(1 + 2 + 3 + 4, FieldRules.bytes("a\u00e9\u20ac\ud83d\ude00"));
  }

  @ParameterizedTest
  @CsvSource({
    "-1,           0, false, false",
    " 0,          -1, false, false",
    " 0,           0, true,  false",
    " 0,           1, true,  true",
    " 0,   999999999, true,  true",
    " 0,  1000000000, false, false",
    " 1,  2147483647, false, false",
    " 1, -1000000000, false, false",
    "10,   999999999, true,  true",
    "11,           0, false, false",
  })
  void aDurationIsWellFormedAndBounded(long seconds, int nanos, boolean is, boolean isPositive) {
    Duration duration = Duration.newBuilder().setSeconds(seconds).setNanos(nanos).build();
    assertEquals(is, FieldRules.isDuration(duration, 10));
    assertEquals(isPositive, FieldRules.isPositiveDuration(duration, 10));
  }
}
