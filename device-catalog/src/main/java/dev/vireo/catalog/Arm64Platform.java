package dev.vireo.catalog;

/**
 * The fixed addresses of the arm64 machine that its device tree tells the guest about. The machine
 * implements what is written here; nothing else states these numbers.
 */
public final class Arm64Platform {
  /** Registers of the GICv3's distributor. */
  public static final long DISTRIBUTOR_BASE = 0x0800_0000L;

  /** Bytes of the distributor's registers (GICv3 architecture specification, IHI 0069). */
  public static final long DISTRIBUTOR_BYTES = 0x1_0000;

  /** Registers of the redistributors, one after the other in the order of the vCPUs. */
  public static final long REDISTRIBUTORS_BASE = 0x1000_0000L;

  /** Bytes of one vCPU's redistributor: its own frame, and that of its private interrupts. */
  public static final long REDISTRIBUTOR_BYTES = 0x2_0000;

  /** As many as KVM's GICv3 can serve. */
  public static final int MAX_VCPUS = 512;

  /**
   * Interrupts of all kinds, private ones included: the shared ones (SPIs), whose numbers are GSIs
   * as in KVM's default routing, are 0 up to this less 32.
   */
  public static final int INTERRUPTS = 128;

  /** Registers of the 16550 serial console, a byte each. */
  public static final long SERIAL_BASE = 0x0900_0000L;

  /** Bytes of address space for the serial console. */
  public static final long SERIAL_BYTES = 0x1000;

  /** The serial console's SPI, edge-triggered. */
  public static final int SERIAL_GSI = 0;

  /** Registers of the PL031 real-time clock, which raises no interrupt. */
  public static final long CLOCK_BASE = 0x0901_0000L;

  /** Bytes of address space for the real-time clock. */
  public static final long CLOCK_BYTES = 0x1000;

  /**
   * The power button: a virtio keyboard with one key. A PL061 and {@code gpio-keys}, which others
   * have, would need a driver that Debian's kernel for clouds is built without.
   */
  public static final DeviceSlot POWER_BUTTON = new DeviceSlot(0, 0x0902_0000L, 0x1000, 1);

  /** Where RAM begins; it has no holes. */
  public static final long RAM_BASE = 0x4000_0000L;

  /** RAM ends here at most: guest physical addresses have 40 bits, KVM's default. */
  public static final long RAM_END = 1L << 40;

  private Arm64Platform() {}

  /**
   * The affinity fields of MPIDR_EL1 that KVM gives a vCPU: 16 to a cluster (Linux,
   * arch/arm64/kvm/sys_regs.c, reset_mpidr).
   */
  public static int affinity(int vcpu) {
    return (vcpu & 0xf) | (vcpu >> 4) << 8;
  }

  static void requireVcpus(int vcpus) {
    if (vcpus < 1 || vcpus > MAX_VCPUS) {
      throw new IllegalArgumentException("vCPUs: " + vcpus + ", must be 1 to " + MAX_VCPUS);
    }
  }
}
