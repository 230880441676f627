package dev.vireo.worker.microvm;

import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.vmm.v1.PauseRequest;
import dev.vireo.proto.vmm.v1.ReleaseRequest;
import dev.vireo.proto.vmm.v1.ResizeConsoleRequest;
import dev.vireo.proto.vmm.v1.ResizeMemoryRequest;
import dev.vireo.proto.vmm.v1.ResumeRequest;
import dev.vireo.proto.vmm.v1.StopRequest;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.boot.ConsoleSizes;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.vmm.Vmm;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.function.BiConsumer;

/**
 * What a VMM that has its guest is asked for: a pause, other sizes, its end, and SIGKILL if it does
 * not end in time. All of it runs in the microVM's mailbox.
 */
final class VmmSteering {
  private static final System.Logger LOG = System.getLogger("microvm");
  private static final Duration DEFAULT_STOP_GRACE = Duration.ofSeconds(10);

  /** What a VMM may take, beyond the guest's grace, to stop its vCPUs and say so. */
  private static final Duration STOP_WITHIN = Duration.ofSeconds(3);

  private static final Duration RELEASE_WITHIN = Duration.ofSeconds(3);
  private static final long MIB = 1 << 20;

  private final Time time;
  private final Executor mailbox;
  private final BiConsumer<Run, VmmStatus> onStatus;

  /**
   * @param onStatus hears of the state that a request led to
   */
  VmmSteering(Time time, Executor mailbox, BiConsumer<Run, VmmStatus> onStatus) {
    this.time = time;
    this.mailbox = mailbox;
    this.onStatus = onStatus;
  }

  /** One step from what the guest is to what its spec wants. */
  void steer(Run run, MicroVmSpec spec) {
    boolean pause = spec.getDesiredState() == DesiredState.DESIRED_PAUSED;
    VmmState is = run.status.getState();
    if (pause && is == VmmState.VMM_RUNNING) {
      ask(run, VmmRequest.newBuilder().setPause(PauseRequest.getDefaultInstance()));
    } else if (!pause && is == VmmState.VMM_PAUSED) {
      ask(run, VmmRequest.newBuilder().setResume(ResumeRequest.getDefaultInstance()));
    } else if (is == VmmState.VMM_RUNNING || is == VmmState.VMM_PAUSED) {
      resizeMemory(run, spec);
      resizeConsoles(run, spec);
    }
  }

  /** What the VMM has been asked for it is asked for once: if it refuses it will do so again. */
  private void resizeMemory(Run run, MicroVmSpec spec) {
    if (run.steering) {
      return;
    }
    ResizeMemoryRequest.Builder sizes = ResizeMemoryRequest.newBuilder();
    long target = spec.getBalloon().getTargetMib() * MIB;
    if (run.status.hasBalloonTargetBytes()
        && run.status.getBalloonTargetBytes() != target
        && run.askedBalloonBytes != target) {
      run.askedBalloonBytes = target;
      sizes.setBalloonTargetBytes(target);
    }
    long plugged = spec.getMemoryHotplug().getSizeMib() * MIB;
    if (run.status.hasHotplugRequestedBytes()
        && run.status.getHotplugRequestedBytes() != plugged
        && run.askedHotplugBytes != plugged) {
      run.askedHotplugBytes = plugged;
      sizes.setHotplugRequestedBytes(plugged);
    }
    if (sizes.hasBalloonTargetBytes() || sizes.hasHotplugRequestedBytes()) {
      ask(run, VmmRequest.newBuilder().setResizeMemory(sizes));
    }
  }

  /** Of all sizes at once: the VMM knows which are news. */
  private static void resizeConsoles(Run run, MicroVmSpec spec) {
    ResizeConsoleRequest sizes = ConsoleSizes.of(spec);
    if (!sizes.equals(run.consoleSizes)) {
      run.consoleSizes = sizes;
      if (sizes.getPortsCount() > 0) {
        run.request(VmmRequest.newBuilder().setResizeConsole(sizes));
      }
    }
  }

  /** One at a time: the answer brings the state that decides whether there is more to do. */
  private void ask(Run run, VmmRequest.Builder request) {
    Vmm vmm = run.vmm;
    if (!run.steering && vmm != null) {
      run.steering = true;
      var _ =
          vmm.request(request, List.of())
              .whenCompleteAsync(
                  (response, failure) -> {
                    run.steering = false;
                    if (failure == null && response.hasStatus()) {
                      onStatus.accept(run, response.getStatus());
                    }
                  },
                  mailbox);
    }
  }

  /**
   * Has the guest end; once, and once more by force.
   *
   * @param force without its spec's grace
   */
  void stop(Run run, Assignment wanted, boolean force) {
    if (run.released || (run.stopRequested && (!force || run.stopForced))) {
      return;
    }
    Duration grace = force ? Duration.ZERO : stopGrace(wanted.getSpec().getLifecycle());
    run.stopRequested = true;
    run.stopForced = force;
    run.request(
        VmmRequest.newBuilder()
            .setStop(StopRequest.newBuilder().setGraceMs((int) grace.toMillis())));
    killAfter(run, grace.plus(STOP_WITHIN), wanted.getName());
  }

  private static Duration stopGrace(Lifecycle lifecycle) {
    return lifecycle.hasStopGrace()
        ? Duration.ofSeconds(
            lifecycle.getStopGrace().getSeconds(), lifecycle.getStopGrace().getNanos())
        : DEFAULT_STOP_GRACE;
  }

  /** Its guest has ended, and it has said why: the process may go. */
  void release(Run run, String name) {
    run.released = true;
    run.request(VmmRequest.newBuilder().setRelease(ReleaseRequest.getDefaultInstance()));
    killAfter(run, RELEASE_WITHIN, name);
  }

  private void killAfter(Run run, Duration patience, String name) {
    run.cancelKill();
    run.killAlarm =
        time.after(
            patience,
            () -> {
              LOG.log(Level.WARNING, "{0}: its VMM does not end; SIGKILL", name);
              run.kill();
            });
  }
}
