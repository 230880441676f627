package dev.vireo.cli;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.PrintStream;
import java.util.List;

/** Tells a person what went wrong, why, and what to do about it; the exit code tells a script. */
final class ErrorReport {
  private final PrintStream err;

  ErrorReport(PrintStream err) {
    this.err = err;
  }

  /** Prints {@code error} and returns the exit code for it. */
  int print(Throwable error) {
    return switch (error) {
      case CommandException refused -> {
        if (refused.exitCode() != ExitCode.BROKEN_PIPE) { // Who has enough knows that.
          line(refused.problem(), refused.remedy());
        }
        yield refused.exitCode();
      }
      case StatusRuntimeException call -> printCall(call);
      default -> {
        error.printStackTrace(err);
        line("a bug of the command line's: " + error, "Please report it with the lines above.");
        yield ExitCode.FAILED;
      }
    };
  }

  private int printCall(StatusRuntimeException error) {
    Status status = error.getStatus();
    List<BadRequest.FieldViolation> violations = violations(error);
    if (violations.size() > 1) {
      // Of many only the first are told.
      int wrong = Errors.violationsOf(error).orElse(violations.size());
      say("error: %d fields are wrong".formatted(wrong));
      for (BadRequest.FieldViolation violation : violations) {
        say(
            "  %s: %s (%s)"
                .formatted(
                    violation.getField(), violation.getDescription(), violation.getReason()));
      }
      return ExitCode.of(status.getCode());
    }
    Errors.reasonOf(error)
        .ifPresentOrElse(
            reason -> printReason(error, reason), () -> printUncatalogued(error, status));
    return ExitCode.of(status.getCode());
  }

  private void printReason(StatusRuntimeException error, ErrorReason reason) {
    String message = error.getStatus().getDescription();
    String whenToRetry =
        Errors.retryAfter(error)
            .map(delay -> " Try again in %s.".formatted(Text.duration(delay)))
            .orElse("");
    say("error: %s".formatted(message == null ? reason.cause() : message));
    say("  reason: %s".formatted(reason.name()));
    say("  cause:  %s".formatted(reason.cause()));
    say("  remedy: %s%s".formatted(reason.remedy(), whenToRetry));
  }

  /** What gRPC itself says, not our server: no connection, no answer in time. */
  private void printUncatalogued(StatusRuntimeException error, Status status) {
    switch (status.getCode()) {
      case UNAVAILABLE ->
          line(
              "the controller cannot be reached: " + rootMessage(error),
              "Is it running? 'vireo up' starts one on this machine; --server names another.");
      case DEADLINE_EXCEEDED ->
          line("no answer in time", "Try again, or see the controller's log.");
      case UNIMPLEMENTED ->
          line(
              "the server does not know this call",
              "Is it a Vireo controller, and as new as this command line?");
      default -> line(status.getCode() + ": " + status.getDescription(), "");
    }
  }

  private void line(String message, String remedy) {
    say("error: " + message);
    if (!remedy.isEmpty()) {
      say("  remedy: " + remedy);
    }
  }

  /** Guests name files, and nodes repeat what guests have said. */
  private void say(String line) {
    err.println(Text.harmless(line));
  }

  private static String rootMessage(Throwable error) {
    Throwable root = error;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return root.getMessage() == null ? root.toString() : root.getMessage();
  }

  private static List<BadRequest.FieldViolation> violations(StatusRuntimeException error) {
    com.google.rpc.Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return List.of();
    }
    for (Any detail : status.getDetailsList()) {
      if (detail.is(BadRequest.class)) {
        try {
          return detail.unpack(BadRequest.class).getFieldViolationsList();
        } catch (InvalidProtocolBufferException e) {
          return List.of();
        }
      }
    }
    return List.of();
  }
}
