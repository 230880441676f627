package dev.vireo.controller.api;

import dev.vireo.controller.lifecycle.ConditionType;
import dev.vireo.controller.lifecycle.Conditions;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.store.StoreException;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.errors.Errors.FieldViolation;
import dev.vireo.proto.store.v1.Rejection;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.StatusRuntimeException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Waits until a new microVM has come as far as its client asked, or cannot. */
final class Waiting {
  /** Of what is left of the call's time, the part that the answer needs to arrive. */
  private static final double ANSWER_PART = 0.1;

  private static final long ANSWER_MAX_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private final MicroVms microVms;

  Waiting(MicroVms microVms) {
    this.microVms = microVms;
  }

  /** Blocks until then, the call's deadline or its cancellation. */
  MicroVm await(StoredMicroVm created, Wait wait) {
    if (wait == Wait.WAIT_UNSPECIFIED) {
      return created.microVm();
    }
    CompletableFuture<Optional<StoredMicroVm>> reached =
        microVms.when(created.uid(), microVm -> isDecided(microVm, wait));
    Context.CancellationListener onCancel = _ -> reached.cancel(false);
    Context call = Context.current();
    call.addListener(onCancel, Runnable::run);
    try {
      return answer(get(reached, call.getDeadline()), created, wait);
    } catch (TimeoutException e) {
      throw timedOut(created, wait);
    } finally {
      call.removeListener(onCancel);
      reached.cancel(false);
    }
  }

  /** Completed once that is decided; fails when the controller stops. Never blocks. */
  CompletableFuture<Optional<StoredMicroVm>> decided(String uid, Wait wait) {
    return microVms.when(uid, microVm -> isDecided(microVm, wait));
  }

  private static Optional<StoredMicroVm> get(
      CompletableFuture<Optional<StoredMicroVm>> reached,
      @org.jspecify.annotations.Nullable Deadline deadline)
      throws TimeoutException {
    try {
      if (deadline == null) {
        return reached.get();
      }
      long left = deadline.timeRemaining(TimeUnit.NANOSECONDS);
      long reserve = Math.min((long) (left * ANSWER_PART), ANSWER_MAX_NANOS);
      return reached.get(left - reserve, TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CancellationException();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof StoreException stopping) {
        throw stopping;
      }
      throw new IllegalStateException("a wait fails only when the controller stops", e);
    }
  }

  private static boolean isDecided(Optional<StoredMicroVm> microVm, Wait wait) {
    return microVm.isEmpty()
        || isReached(microVm.get().microVm(), wait)
        || Lifecycle.isDeleting(microVm.get().microVm())
        || Conditions.isTrue(microVm.get().microVm(), ConditionType.FINISHED);
  }

  private static boolean isReached(MicroVm microVm, Wait wait) {
    return switch (wait) {
      case WAIT_SCHEDULED -> Conditions.isTrue(microVm, ConditionType.SCHEDULED);
      case WAIT_RUNNING -> Conditions.isTrue(microVm, ConditionType.STARTED);
      case WAIT_READY -> Conditions.isTrue(microVm, ConditionType.READY);
      case WAIT_UNSPECIFIED, UNRECOGNIZED -> true;
    };
  }

  /** What was waited for, or the error that says why it will not be. */
  static MicroVm answer(Optional<StoredMicroVm> decided, StoredMicroVm created, Wait wait) {
    if (decided.isPresent() && isReached(decided.get().microVm(), wait)) {
      return decided.get().microVm();
    }
    if (decided.isEmpty() || Lifecycle.isDeleting(decided.get().microVm())) {
      throw Errors.of(
          ErrorReason.MICROVM_NOT_FOUND,
          "%s was deleted while it was waited for".formatted(created.name()),
          Map.of("name", created.name()));
    }
    throw ended(decided.get());
  }

  private static StatusRuntimeException ended(StoredMicroVm microVm) {
    if (microVm.record().hasRejection()) {
      return rejected(microVm.name(), microVm.record().getRejection());
    }
    MicroVm seen = microVm.microVm();
    Termination end = seen.getStatus().getTermination();
    String message =
        "%s ended before it was there: %s %s"
            .formatted(microVm.name(), end.getCause(), end.getMessage())
            .strip();
    ErrorReason reason =
        switch (end.getCause()) {
          case VMM_LOST, VCPU_FAILED, SETUP_FAILED -> ErrorReason.VMM_FAILED;
          case CAUSE_UNSPECIFIED ->
              seen.getStatus().getState() == MicroVmState.FAILED
                  ? ErrorReason.VMM_FAILED
                  : ErrorReason.STATE_CONFLICT;
          case GUEST_POWER_OFF,
              GUEST_RESET,
              STOPPED_BY_REQUEST,
              PROCESS_ENDED,
              RUN_TIME_EXCEEDED,
              IDLE_TIMEOUT,
              UNRECOGNIZED ->
              ErrorReason.STATE_CONFLICT;
        };
    return Errors.of(reason, message, Map.of("name", microVm.name()));
  }

  private static StatusRuntimeException rejected(String name, Rejection rejection) {
    ErrorReason reason = Lifecycle.errorReason(rejection.getReason());
    if (reason.code() == ErrorReason.Code.INVALID_ARGUMENT && !rejection.getField().isEmpty()) {
      return Errors.badRequest(
          List.of(new FieldViolation(rejection.getField(), reason, rejection.getMessage())));
    }
    return Errors.of(reason, rejection.getMessage(), Map.of("name", name));
  }

  StatusRuntimeException timedOut(StoredMicroVm created, Wait wait) {
    MicroVm now = microVms.findByUid(created.uid()).orElse(created).microVm();
    MicroVmState state = now.getStatus().getState();
    String why =
        state == MicroVmState.PENDING
            ? Conditions.find(now, ConditionType.SCHEDULED)
                .map(scheduled -> ": " + scheduled.getMessage())
                .orElse("")
            : "";
    return Errors.of(
        ErrorReason.WAIT_TIMED_OUT,
        "%s did not reach %s in time; it is %s%s".formatted(created.name(), wait, state, why),
        Map.of("name", created.name(), "state", state.name()));
  }
}
