package dev.vireo.catalog;

import java.util.ArrayList;
import java.util.List;

/**
 * ACPI tables (ACPI 6.3) that announce the machine to an unmodified x86-64 kernel: RSDP, XSDT,
 * FADT, FACS, MADT, and a DSDT with one {@code LNRO0005} node for each virtio-mmio device.
 *
 * <p>The machine behind them has the fixed hardware of {@link X86Platform}: a PM1 block with a
 * power button and soft-off, an SCI and a reset register. It has no PM timer, no general-purpose
 * events, no SMI and no PCI.
 */
public final class AcpiTables {
  private static final int HEADER_LENGTH = 36;
  private static final int CHECKSUM_OFFSET = 9;
  private static final int FADT_REVISION = 6;
  private static final int MADT_REVISION = 5;

  private final List<GuestTable> tables;

  private AcpiTables(List<GuestTable> tables) {
    this.tables = List.copyOf(tables);
  }

  /**
   * The tables of a machine with {@code vcpus} vCPUs, whose APIC ids are 0 and up, and virtio-mmio
   * devices in {@code slots}.
   *
   * @throws IllegalArgumentException for fewer than 1 or more than {@link X86Platform#MAX_VCPUS}
   *     vCPUs
   */
  public static AcpiTables of(List<DeviceSlot> slots, int vcpus) {
    X86Platform.requireVcpus(vcpus);
    Layout layout = new Layout(X86Platform.ACPI_REGION_BASE);
    // The RSDP comes first, where a kernel scans for it, but names what follows: it is filled in
    // last.
    long rsdpAddress = layout.reserve(36);
    GuestTable facs = layout.place("FACS", facs());
    GuestTable dsdt = layout.place("DSDT", dsdt(slots));
    GuestTable fadt = layout.place("FACP", fadt(facs.address(), dsdt.address()));
    GuestTable madt = layout.place("APIC", madt(vcpus));
    GuestTable xsdt = layout.place("XSDT", xsdt(fadt.address(), madt.address()));
    GuestTable rsdp = new GuestTable("RSD PTR ", rsdpAddress, rsdp(xsdt.address()));
    return new AcpiTables(List.of(rsdp, xsdt, fadt, facs, madt, dsdt));
  }

  /** Every table with its address, all within {@link X86Platform#ACPI_REGION_BASE} and its end. */
  public List<GuestTable> tables() {
    return tables;
  }

  /**
   * Guest physical address of the RSDP, for {@code boot_params.acpi_rsdp_addr} and PVH's {@code
   * rsdp_paddr}.
   */
  public long rsdpAddress() {
    return tables.getFirst().address();
  }

  private static byte[] rsdp(long xsdt) {
    byte[] table =
        new TableWriter()
            .text("RSD PTR ", 8)
            .u8(0)
            .text("VIREO", 6)
            .u8(/* revision: has an XSDT */ 2)
            .u32(/* no RSDT */ 0)
            .u32(36)
            .u64(xsdt)
            .u8(0)
            .zeros(3)
            .toBytes();
    TableWriter.checksummed(table, 20, 8);
    return TableWriter.checksummed(table, table.length, 32);
  }

  private static byte[] xsdt(long... addresses) {
    TableWriter body = new TableWriter();
    for (long address : addresses) {
      body.u64(address);
    }
    return table("XSDT", 1, body);
  }

  /** Firmware control structure (section 5.2.10): no checksum, and 64-byte alignment. */
  private static byte[] facs() {
    return new TableWriter()
        .text("FACS", 4)
        .u32(64)
        .zeros(24) // hardware signature, waking vector, global lock, flags, 64-bit waking vector
        .u8(/* version */ 2)
        .zeros(31)
        .toBytes();
  }

  /** Fixed description (section 5.2.9). */
  private static byte[] fadt(long facs, long dsdt) {
    int lacksPowerBits = 1 << 5 /* no sleep button */ | 1 << 6 /* no RTC wake event */;
    int flags =
        1 /* WBINVD works */
            | 1 << 2 /* C1 on all */
            | lacksPowerBits
            | 1 << 10 /* reset register */
            | 1 << 12 /* headless */;
    // Serial port on the ISA bus; bit 1 left out: no keyboard controller to probe for.
    int bootArchitecture =
        1 | 1 << 2 /* no VGA */ | 1 << 3 /* no MSI: that is PCI */ | 1 << 4 /* no ASPM */;
    TableWriter body =
        new TableWriter()
            .u32(facs)
            .u32(dsdt)
            .u8(0)
            .u8(/* profile: unspecified */ 0)
            .u16(X86Platform.SCI_GSI)
            .u32(/* SMI command: none, always in ACPI mode */ 0)
            .zeros(4)
            .u32(X86Platform.PM1A_EVENT_PORT)
            .u32(0)
            .u32(X86Platform.PM1A_CONTROL_PORT)
            .zeros(20) // PM1b control, PM2 control, PM timer, GPE0, GPE1: none
            .u8(/* PM1 event length */ 4)
            .u8(/* PM1 control length */ 2)
            .zeros(6)
            .u16(/* no C2: above 100 */ 0xfff)
            .u16(/* no C3: above 1000 */ 0xfff)
            .zeros(4) // flush size and stride
            .zeros(4) // duty cycle, alarms
            .u8(/* the RTC's century register: none */ 0)
            .u16(bootArchitecture)
            .u8(0)
            .u32(flags)
            .raw(port(X86Platform.RESET_PORT, 8))
            .u8(X86Platform.RESET_VALUE)
            .u16(/* ARM boot flags */ 0)
            .u8(/* minor revision */ 3)
            .u64(/* the 32-bit FACS address counts */ 0)
            .u64(dsdt)
            .raw(port(X86Platform.PM1A_EVENT_PORT, 32))
            .zeros(12)
            .raw(port(X86Platform.PM1A_CONTROL_PORT, 16))
            .zeros(
                12 * 7) // PM1b control, PM2 control, PM timer, GPE0, GPE1, sleep control and status
            .text("VIREO", 8);
    return table("FACP", FADT_REVISION, body);
  }

  /** A generic address structure (section 5.2.3.2) in I/O space. */
  private static byte[] port(int port, int bits) {
    int accessBytes = Math.min(bits / 8, 2); // PM1 registers are 16 bits wide
    return new TableWriter().u8(/* I/O */ 1).u8(bits).u8(0).u8(accessBytes).u64(port).toBytes();
  }

  /** Interrupt controllers (section 5.2.12). */
  private static byte[] madt(int vcpus) {
    TableWriter body = new TableWriter().u32(X86Platform.LOCAL_APIC_BASE).u32(/* has 8259s */ 1);
    for (int vcpu = 0; vcpu < vcpus; vcpu++) {
      body.u8(0).u8(8).u8(vcpu).u8(vcpu).u32(/* enabled */ 1);
    }
    body.u8(1).u8(12).u8(/* id */ vcpus).u8(0).u32(X86Platform.IOAPIC_BASE).u32(/* first GSI */ 0);
    // ISA lines are edge-triggered unless overridden; the SCI is not. No override for the timer:
    // GSI 0 is pin 0.
    body.u8(2).u8(10).u8(/* ISA */ 0).u8(X86Platform.SCI_GSI).u32(X86Platform.SCI_GSI);
    body.u16(0b1101 /* active high, level */);
    body.u8(4).u8(6).u8(/* all processors */ 0xff).u16(0).u8(/* NMI on LINT1 */ 1);
    return table("APIC", MADT_REVISION, body);
  }

  private static byte[] dsdt(List<DeviceSlot> slots) {
    TableWriter body = new TableWriter();
    byte[] sleepType = Aml.integer(X86Platform.S5_SLEEP_TYPE);
    byte[] zero = Aml.integer(0);
    body.raw(Aml.named("_S5_", Aml.packageOf(sleepType, sleepType, zero, zero)));
    List<byte[]> nodes = new ArrayList<>();
    nodes.add(serialNode());
    for (DeviceSlot slot : slots) {
      nodes.add(virtioNode(slot));
    }
    body.raw(Aml.scope("\\_SB_", nodes.toArray(new byte[0][])));
    return table("DSDT", 2, body);
  }

  private static byte[] serialNode() {
    return Aml.device(
        "COM1",
        Aml.named("_HID", Aml.eisaId("PNP0501")),
        Aml.named("_UID", Aml.integer(1)),
        Aml.named(
            "_CRS",
            Aml.resources(
                Aml.ports(X86Platform.SERIAL_PORT, 8), Aml.isaInterrupt(X86Platform.SERIAL_GSI))));
  }

  /** {@code LNRO0005} is the id by which Linux's virtio_mmio driver is found. */
  private static byte[] virtioNode(DeviceSlot slot) {
    return Aml.device(
        "VM" + hexDigit(slot.index() >> 4) + hexDigit(slot.index() & 0xf),
        Aml.named("_HID", Aml.string("LNRO0005")),
        Aml.named("_UID", Aml.integer(slot.index())),
        Aml.named(
            "_CRS",
            Aml.resources(
                Aml.memory32Fixed(slot.base(), slot.size()), Aml.edgeInterrupt(slot.gsi()))));
  }

  private static char hexDigit(int value) {
    return Character.toUpperCase(Character.forDigit(value, 16));
  }

  /** The common header (section 5.2.6), the body, and the checksum. */
  private static byte[] table(String signature, int revision, TableWriter body) {
    byte[] table =
        new TableWriter()
            .text(signature, 4)
            .u32(HEADER_LENGTH + body.size())
            .u8(revision)
            .u8(/* checksum */ 0)
            .text("VIREO", 6)
            .text("VIREOVM", 8)
            .u32(1)
            .text("VIRE", 4)
            .u32(1)
            .raw(body.toBytes())
            .toBytes();
    return TableWriter.checksummed(table, table.length, CHECKSUM_OFFSET);
  }

  /** Hands out addresses, 64-byte aligned as the FACS needs. */
  private static final class Layout {
    private long next;

    Layout(long base) {
      this.next = base;
    }

    long reserve(int length) {
      long address = next;
      next = address + length + 63 & ~63L;
      if (next > X86Platform.ACPI_REGION_END) {
        throw new IllegalStateException(
            "ACPI tables do not fit below 0x%x".formatted(X86Platform.ACPI_REGION_END));
      }
      return address;
    }

    GuestTable place(String signature, byte[] bytes) {
      return new GuestTable(signature, reserve(bytes.length), bytes);
    }
  }
}
