package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import dev.vireo.proto.errors.ErrorReason;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import org.junit.jupiter.api.function.Executable;

/**
 * What a client learns from a refused call, whose code and remedies are the catalogue's.
 *
 * @param fields the fields to blame, in the server's order; empty if no field is
 */
record Refusal(ErrorReason reason, List<String> fields, String message) {

  /** Makes a call that must be refused. */
  static Refusal of(Executable call) {
    StatusRuntimeException thrown = assertThrows(StatusRuntimeException.class, call);
    Status status = StatusProto.fromThrowable(thrown);
    if (status == null) {
      throw new AssertionError("an error without google.rpc.Status", thrown);
    }
    try {
      return parse(status);
    } catch (InvalidProtocolBufferException e) {
      throw new AssertionError("a malformed error detail", e);
    }
  }

  private static Refusal parse(Status status) throws InvalidProtocolBufferException {
    ErrorReason reason = null;
    List<String> fields = List.of();
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        reason = ErrorReason.valueOf(detail.unpack(ErrorInfo.class).getReason());
      } else if (detail.is(BadRequest.class)) {
        List<BadRequest.FieldViolation> violations =
            detail.unpack(BadRequest.class).getFieldViolationsList();
        violations.forEach(Refusal::assertNamesRemedy);
        fields = violations.stream().map(BadRequest.FieldViolation::getField).toList();
      }
    }
    if (reason == null) {
      throw new AssertionError("an error without ErrorInfo: " + status);
    }
    assertEquals(reason.code().number(), status.getCode(), status::toString);
    return new Refusal(reason, fields, status.getMessage());
  }

  private static void assertNamesRemedy(BadRequest.FieldViolation violation) {
    String remedy = ErrorReason.valueOf(violation.getReason()).remedy();
    assertTrue(violation.getDescription().endsWith(remedy), violation::toString);
  }
}
