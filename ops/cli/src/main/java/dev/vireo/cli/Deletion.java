package dev.vireo.cli;

import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/** Deletes microVMs and, if asked, sees them gone. */
public final class Deletion {
  private static final long POLL_NANOS = Duration.ofMillis(50).toNanos();

  private final Api api;

  public Deletion(Api api) {
    this.api = api;
  }

  /** Marks it for deletion. {@code force}: the guest is not asked to power off first. */
  MicroVm request(String name, boolean force, boolean allowMissing) {
    return api.microVms()
        .deleteMicroVm(
            DeleteMicroVmRequest.newBuilder()
                .setName(name)
                .setForce(force)
                .setAllowMissing(allowMissing)
                .build());
  }

  /** Makes sure that nothing of this name is left, whether or not it was there. */
  public void enforce(String name, Duration timeout) {
    MicroVm vm = request(name, true, true);
    awaitGone(name, vm.getMeta().getUid(), timeout);
  }

  /** Returns once the microVM with this uid, not a later one of the same name, exists no more. */
  void awaitGone(String name, String uid, Duration timeout) {
    long end = System.nanoTime() + timeout.toNanos();
    while (exists(name, uid)) {
      if (System.nanoTime() - end > 0) {
        throw new CommandException(
            ExitCode.TIMED_OUT,
            "%s is still being deleted".formatted(Api.id(name)),
            "See what it waits for: vireo get " + Api.id(name));
      }
      LockSupport.parkNanos(POLL_NANOS);
    }
  }

  private boolean exists(String name, String uid) {
    try {
      MicroVm found =
          api.microVms().getMicroVm(GetMicroVmRequest.newBuilder().setName(name).build());
      return found.getMeta().getUid().equals(uid);
    } catch (StatusRuntimeException e) {
      if (e.getStatus().getCode() == Status.Code.NOT_FOUND) {
        return false;
      }
      throw e;
    }
  }
}
