package dev.vireo.catalog;

/**
 * The fixed addresses of the x86-64 machine that its tables tell the guest about. The machine
 * implements what is written here; nothing else states these numbers.
 */
public final class X86Platform {
  /** Local APIC registers of every vCPU (KVM's in-kernel default). */
  public static final long LOCAL_APIC_BASE = 0xfee0_0000L;

  /**
   * IOAPIC registers (KVM's in-kernel default); its pin <i>n</i> is GSI <i>n</i>, as in KVM's
   * default routing.
   */
  public static final long IOAPIC_BASE = 0xfec0_0000L;

  /** Pins of the IOAPIC, hence GSIs 0 to 23. */
  public static final int IOAPIC_PINS = 24;

  /** The tables can name 8-bit APIC ids 0 to 253; one is the IOAPIC's. A spec may ask for fewer. */
  public static final int MAX_VCPUS = 253;

  /** First I/O port of the 16550 serial console, 8 ports. */
  public static final int SERIAL_PORT = 0x3f8;

  /** The serial console's line, edge-triggered. */
  public static final int SERIAL_GSI = 4;

  /**
   * ACPI's system control interrupt: level-triggered, active high, high while {@code PM1_STS &
   * PM1_EN != 0}.
   */
  public static final int SCI_GSI = 9;

  /**
   * PM1a event block (ACPI 6.3, section 4.8.3.1): 16-bit status at +0, a written one clears the
   * bit; 16-bit enable at +2, plain read and write. Bits of both: {@link #PM1_GLOBAL_LOCK}, {@link
   * #PM1_POWER_BUTTON}.
   */
  public static final int PM1A_EVENT_PORT = 0x600;

  /**
   * PM1 status and enable: global lock released. ACPICA enables it at start and wants to read the
   * bit back.
   */
  public static final int PM1_GLOBAL_LOCK = 1 << 5;

  /**
   * PM1 status and enable: the power button was pressed, which is how a guest is asked to power
   * off.
   */
  public static final int PM1_POWER_BUTTON = 1 << 8;

  /**
   * PM1a control block (ACPI 6.3, section 4.8.3.2), 16 bits: {@link #PM1_SCI_ENABLE} always reads
   * one (no SMI command, always in ACPI mode); a write with {@link #PM1_SLEEP_ENABLE} and sleep
   * type {@link #S5_SLEEP_TYPE} powers off. Ports and value are those of QEMU's PIIX4, which small
   * kernels know by heart: {@code outw(0x604, 0x2000)}.
   */
  public static final int PM1A_CONTROL_PORT = 0x604;

  /** PM1 control: interrupts come as SCI, not SMI. */
  public static final int PM1_SCI_ENABLE = 1;

  /** PM1 control: bits 10 to 12 are the sleep type. */
  public static final int PM1_SLEEP_TYPE_SHIFT = 10;

  /** PM1 control: enter the sleep state; reads zero. */
  public static final int PM1_SLEEP_ENABLE = 1 << 13;

  /** The sleep type that means soft-off, as {@code \_S5} tells the guest. */
  public static final int S5_SLEEP_TYPE = 0;

  /**
   * Reset register, one byte: the chipset port PCs have, so that {@code reboot=pci} works too. It
   * lies within PCI's configuration ports 0xcf8 to 0xcff, which this machine does not have; only a
   * one-byte write counts.
   */
  public static final int RESET_PORT = 0xcf9;

  /** What the guest writes to {@link #RESET_PORT}; {@link #RESET_NOW} is the bit that acts. */
  public static final int RESET_VALUE = 0x06;

  /** The bit of {@link #RESET_VALUE} that resets. */
  public static final int RESET_NOW = 0x04;

  /**
   * Where ACPI's tables go, starting with the RSDP, so that a kernel which scans finds it: from
   * here to {@link #ACPI_REGION_END}. The memory map must not call it usable.
   */
  public static final long ACPI_REGION_BASE = 0xe_0000L;

  /** End of ACPI's tables, exclusive. */
  public static final long ACPI_REGION_END = 0xf_0000L;

  /**
   * Where the MP table goes: start of the BIOS area that kernels scan for it. Not usable memory
   * either.
   */
  public static final long MP_TABLE_BASE = 0xf_0000L;

  private X86Platform() {}

  static void requireVcpus(int vcpus) {
    if (vcpus < 1 || vcpus > MAX_VCPUS) {
      throw new IllegalArgumentException("vCPUs: " + vcpus + ", must be 1 to " + MAX_VCPUS);
    }
  }
}
