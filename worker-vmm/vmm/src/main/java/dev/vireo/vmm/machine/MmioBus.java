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

  /** A device of the machine itself. */
  interface Registers {
    /** Reads {@code width} bytes at {@code offset}. */
    long read(int offset, int width);

    /** Writes the lower {@code width} bytes of {@code value} at {@code offset}. */
    void write(int offset, int width, long value);
  }

  /**
   * Where one of the machine's own devices is.
   *
   * @param cause as what its exits are counted
   */
  record Window(long base, long bytes, Cause cause, Registers registers) {
    boolean contains(long address) {
      return address >= base && address - base < bytes;
    }
  }

  private final List<MmioTransport> transports;
  private final long devicesBase;
  private final long slotBytes;
  private final List<Window> windows;

  /**
   * @param transports by slot; the slots follow each other from {@code devicesBase} on
   * @param windows of the machine's own devices, elsewhere
   */
  MmioBus(List<MmioTransport> transports, long devicesBase, long slotBytes, List<Window> windows) {
    this.transports = transports;
    this.devicesBase = devicesBase;
    this.slotBytes = slotBytes;
    this.windows = windows;
  }

  /** Serves the access for which the vCPU left the guest. */
  void serve(Vcpu vcpu, ExitCounters counters) {
    long fromBase = vcpu.mmioAddress() - devicesBase;
    int width = vcpu.mmioLength();
    boolean write = vcpu.mmioIsWrite();
    if (fromBase < 0 || fromBase >= transports.size() * slotBytes) {
      serveOther(vcpu, counters);
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

  private void serveOther(Vcpu vcpu, ExitCounters counters) {
    long address = vcpu.mmioAddress();
    int width = vcpu.mmioLength();
    for (int i = 0; i < windows.size(); i++) {
      Window window = windows.get(i);
      if (window.contains(address)) {
        counters.count(window.cause());
        int offset = (int) (address - window.base());
        if (vcpu.mmioIsWrite()) {
          window.registers().write(offset, width, lowBytes(vcpu.mmioData(), width));
        } else {
          vcpu.setMmioData(window.registers().read(offset, width));
        }
        return;
      }
    }
    counters.count(Cause.MMIO_UNASSIGNED);
    if (!vcpu.mmioIsWrite()) {
      vcpu.setMmioData(NOTHING);
    }
  }

  private static long lowBytes(long value, int width) {
    return width >= Long.BYTES ? value : value & ((1L << (8 * width)) - 1);
  }
}
