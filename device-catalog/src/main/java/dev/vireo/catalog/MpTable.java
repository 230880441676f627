package dev.vireo.catalog;

/**
 * The table of Intel's MultiProcessor Specification 1.4, which tells a kernel without ACPI about
 * vCPUs and the IOAPIC. Every ISA interrupt <i>n</i> is pin <i>n</i>, edge-triggered and active
 * high, up to the last pin.
 */
public final class MpTable {
  private static final int FLOATING_POINTER_LENGTH = 16;
  private static final int ISA_BUS = 0;
  private static final int LOCAL_APIC_VERSION = 0x14;
  private static final int IOAPIC_VERSION = 0x11;

  private MpTable() {}

  /**
   * Floating pointer and configuration table for {@code vcpus} vCPUs, whose APIC ids are 0 and up.
   *
   * @throws IllegalArgumentException for fewer than 1 or more than {@link X86Platform#MAX_VCPUS}
   *     vCPUs
   */
  public static GuestTable of(int vcpus) {
    X86Platform.requireVcpus(vcpus);
    byte[] pointer =
        new TableWriter()
            .text("_MP_", 4)
            .u32(X86Platform.MP_TABLE_BASE + FLOATING_POINTER_LENGTH)
            .u8(/* length, in 16 bytes */ 1)
            .u8(/* specification 1.4 */ 4)
            .u8(0)
            .zeros(5)
            .toBytes();
    TableWriter.checksummed(pointer, pointer.length, 10);
    byte[] table = new TableWriter().raw(pointer).raw(configuration(vcpus)).toBytes();
    return new GuestTable("_MP_", X86Platform.MP_TABLE_BASE, table);
  }

  private static byte[] configuration(int vcpus) {
    TableWriter entries = new TableWriter();
    for (int vcpu = 0; vcpu < vcpus; vcpu++) {
      int flags = vcpu == 0 ? 0b11 /* enabled, boots the others */ : 0b01;
      entries.u8(0).u8(vcpu).u8(LOCAL_APIC_VERSION).u8(flags);
      // Signature and features by CPUID, which a kernel reads itself: family 6, FPU and APIC.
      entries.u32(0x600).u32(0x201).zeros(8);
    }
    int ioapicId = vcpus;
    entries.u8(1).u8(ISA_BUS).text("ISA", 6);
    entries.u8(2).u8(ioapicId).u8(IOAPIC_VERSION).u8(/* enabled */ 1).u32(X86Platform.IOAPIC_BASE);
    for (int pin = 0; pin < X86Platform.IOAPIC_PINS; pin++) {
      entries.u8(3).u8(/* vectored */ 0).u16(/* as the bus has it */ 0);
      entries.u8(ISA_BUS).u8(pin).u8(ioapicId).u8(pin);
    }
    entries.u8(4).u8(/* ExtINT */ 3).u16(0).u8(ISA_BUS).u8(0).u8(/* all */ 0xff).u8(0);
    entries.u8(4).u8(/* NMI */ 1).u16(0).u8(ISA_BUS).u8(0).u8(/* all */ 0xff).u8(1);
    int entryCount = vcpus + 2 + X86Platform.IOAPIC_PINS + 2;

    byte[] table =
        new TableWriter()
            .text("PCMP", 4)
            .u16(44 + entries.size())
            .u8(/* specification 1.4 */ 4)
            .u8(/* checksum */ 0)
            .text("VIREO", 8)
            .text("MICROVM", 12)
            .zeros(6) // OEM table: none
            .u16(entryCount)
            .u32(X86Platform.LOCAL_APIC_BASE)
            .zeros(4) // extended table: none
            .raw(entries.toBytes())
            .toBytes();
    return TableWriter.checksummed(table, table.length, 7);
  }
}
