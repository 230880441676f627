package dev.vireo.vmm.machine;

import dev.vireo.vmm.kvm.Vcpu;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.virtio.mmio.MmioTransport;
import java.util.List;

/**
 * Routes the accesses to device memory that KVM does not serve itself to the device at their
 * address, and counts them. Where nothing is, reads give all ones and writes go nowhere.
 */
final class MmioBus {
  private static final long NOTHING = -1;

  private final List<MmioTransport> transports;
  private final long devicesBase;
  private final long slotBytes;

  /**
   * @param transports by slot; the slots follow each other from {@code devicesBase} on
   */
  MmioBus(List<MmioTransport> transports, long devicesBase, long slotBytes) {
    this.transports = transports;
    this.devicesBase = devicesBase;
    this.slotBytes = slotBytes;
  }

  /** Serves the access for which the vCPU left the guest. */
  void serve(Vcpu vcpu, ExitCounters counters) {
    long fromBase = vcpu.mmioAddress() - devicesBase;
    int width = vcpu.mmioLength();
    boolean write = vcpu.mmioIsWrite();
    if (fromBase < 0 || fromBase >= transports.size() * slotBytes) {
      counters.count(Cause.MMIO_UNASSIGNED);
      if (!write) {
        vcpu.setMmioData(NOTHING);
      }
      return;
    }
    int slot = (int) (fromBase / slotBytes);
    int offset = (int) (fromBase % slotBytes);
    counters.count(Cause.MMIO_DEVICE);
    MmioTransport transport = transports.get(slot);
    if (write) {
      transport.write(offset, width, lowBytes(vcpu.mmioData(), width));
    } else {
      vcpu.setMmioData(transport.read(offset, width));
    }
  }

  private static long lowBytes(long value, int width) {
    return width >= Long.BYTES ? value : value & ((1L << (8 * width)) - 1);
  }
}
