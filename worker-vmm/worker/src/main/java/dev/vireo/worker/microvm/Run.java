package dev.vireo.worker.microvm;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.proto.vmm.v1.ResizeConsoleRequest;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.time.Time.Alarm;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.vmm.Vmm;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/** One life of a microVM: its VMM, and what is known and asked of it. */
final class Run {
  /** When this run was asked for, on the monotonic clock. */
  final long startNanos;

  /** Of its launch; of none if that was an earlier worker's doing. */
  final LaunchTrace trace;

  /** Null until the pool has given one, on a thread of its own. */
  volatile @Nullable Vmm vmm;

  /** The VMM's last word; unspecified before its first. */
  VmmStatus status = VmmStatus.getDefaultInstance();

  /** Why it would not or could not set the VM up. */
  @Nullable RejectedException refusal;

  /** It was asked to stop, with or without grace. */
  boolean stopRequested;

  boolean stopForced;

  /** A pause, resume or change of size is on its way. */
  boolean steering;

  /** The balloon's size that was last asked for, in bytes; −1 before the first. */
  long askedBalloonBytes = -1;

  /** What was last asked to be plugged, in bytes; −1 before the first. */
  long askedHotplugBytes = -1;

  /**
   * What the VMM was last told of its consoles' sizes; null if that was an earlier worker's doing.
   */
  @Nullable ResizeConsoleRequest consoleSizes;

  /** On its way to be had, before the VMM is taken; null if nothing had to be waited for. */
  @Nullable CompletableFuture<ContainerImage> image;

  /** Of a container, once its guest runs. */
  @Nullable Supervision supervision;

  /** Once its guest runs. */
  @Nullable TimeLimits timeLimits;

  /** The container's process runs, or did. */
  boolean processStarted;

  /** And it is of use: if it serves HTTP, that is there. */
  boolean processReady;

  /** The process was told that it may exit. */
  boolean released;

  /** When patience ends and the process is killed. */
  @Nullable Alarm killAlarm;

  Run(long startNanos, LaunchTrace trace) {
    this.startNanos = startNanos;
    this.trace = trace;
  }

  void kill() {
    Vmm ours = vmm;
    if (ours != null) {
      ours.kill();
    }
  }

  /** For requests whose outcome shows in the VMM's state, or not at all: then an alarm decides. */
  void request(VmmRequest.Builder request) {
    Vmm ours = vmm;
    if (ours != null) {
      var _ = ours.request(request, List.of());
    }
  }

  void cancelImage() {
    if (image != null) {
      image.cancel(false);
    }
  }

  void cancelTimeLimits() {
    if (timeLimits != null) {
      timeLimits.cancel();
    }
  }

  void cancelKill() {
    if (killAlarm != null) {
      killAlarm.cancel();
    }
  }
}
