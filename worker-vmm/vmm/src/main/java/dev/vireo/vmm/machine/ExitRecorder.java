package dev.vireo.vmm.machine;

import dev.vireo.catalog.DeviceSlot;
import dev.vireo.vmm.kvm.Vcpu;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.trace.TraceFilter;
import dev.vireo.vmm.trace.TraceRing;
import org.jspecify.annotations.Nullable;

/** Traces the exits of all vCPUs, each on its thread. Allocates nothing. */
final class ExitRecorder {
  private final TraceRing ring;
  private final TraceFilter filter;
  private final @Nullable DeviceSlot only;

  /**
   * @param only the device whose registers are wanted; null for every exit
   */
  ExitRecorder(TraceRing ring, TraceFilter filter, @Nullable DeviceSlot only) {
    this.ring = ring;
    this.filter = filter;
    this.only = only;
  }

  /**
   * An exit has been served.
   *
   * @param exit that {@link Vcpu#run} came back with; its page still shows it
   * @param sinceNanos when it came back
   * @param nowNanos when it is about to be entered again
   */
  void served(Vcpu vcpu, int exit, Cause cause, long sinceNanos, long nowNanos) {
    long address = vcpu.accessAddress(exit);
    if (filter.wantsDuration(nowNanos - sinceNanos) && isWanted(cause, address)) {
      ring.put(
          sinceNanos,
          nowNanos - sinceNanos,
          TracedExit.pack(vcpu, exit, cause),
          address,
          vcpu.accessValue(exit));
    }
  }

  private boolean isWanted(Cause cause, long address) {
    return only == null
        || (cause == Cause.MMIO_DEVICE
            && address >= only.base()
            && address < only.base() + only.size());
  }
}
