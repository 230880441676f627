package dev.vireo.proto.errors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.rpc.BadRequest;
import com.google.rpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

final class ErrorCatalogueTest {
  private static final Path CATALOGUE = Path.of("ERRORS.md");

  @Test
  void documentAndCodeAreTheSame() throws IOException {
    String document = Files.readString(CATALOGUE);
    assertEquals(
        ErrorReason.toMarkdown(),
        document.substring(document.indexOf("| reason |")),
        "copy the expected table into proto/ERRORS.md");
  }

  @Test
  void codesHaveTheirCanonicalNumbers() {
    for (ErrorReason.Code code : ErrorReason.Code.values()) {
      assertEquals(code.name(), io.grpc.Status.fromCodeValue(code.number()).getCode().name());
    }
  }

  @Test
  void whatIsUnavailableSaysWhenToTryAgainAndNothingElseDoes() {
    for (ErrorReason reason : ErrorReason.values()) {
      assertEquals(
          reason.code() == ErrorReason.Code.UNAVAILABLE,
          reason.retryAfter().isPresent(),
          reason::name);
      assertEquals(
          reason.retryAfter(), Errors.retryAfter(Errors.of(reason, "message")), reason::name);
    }
  }

  @Test
  void aBadRequestCarriesEveryViolationAndTheRemedy() throws IOException {
    StatusRuntimeException error =
        Errors.badRequest(
            List.of(
                new Errors.FieldViolation(
                    "spec.vcpus", ErrorReason.FIELD_INVALID, "is 0; 1 to 64."),
                new Errors.FieldViolation(
                    "spec.disks[0].source", ErrorReason.DISK_INVALID, "is a directory.")));

    Status status = StatusProto.fromThrowable(error);
    BadRequest details = status.getDetails(1).unpack(BadRequest.class);

    assertEquals(Optional.of(ErrorReason.FIELD_INVALID), Errors.reasonOf(error));
    assertEquals(2, details.getFieldViolationsCount());
    assertEquals("spec.disks[0].source", details.getFieldViolations(1).getField());
    assertEquals("DISK_INVALID", details.getFieldViolations(1).getReason());
    assertTrue(
        details.getFieldViolations(1).getDescription().endsWith(ErrorReason.DISK_INVALID.remedy()));
  }
}
