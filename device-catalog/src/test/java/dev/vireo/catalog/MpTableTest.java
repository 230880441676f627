package dev.vireo.catalog;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class MpTableTest {
  private static final int VCPUS = 3;
  private static final int TABLE = 16;
  private static final int ENTRIES = TABLE + 44;

  private final GuestTable table = MpTable.of(VCPUS);
  private final TableReader mp = new TableReader(table.bytes());

  @Test
  void floatingPointerLeadsToTheTable() {
    assertEquals(X86Platform.MP_TABLE_BASE, table.address());
    assertEquals("_MP_", mp.text(0, 4));
    assertEquals(table.address() + TABLE, mp.u32(4));
    assertEquals(0, mp.sum(0, 16), "checksum");
    assertEquals("PCMP", mp.text(TABLE, 4));
    assertEquals(mp.length() - TABLE, mp.u16(TABLE + 4));
    assertEquals(0, mp.sum(TABLE, mp.length() - TABLE), "checksum");
    assertEquals(X86Platform.LOCAL_APIC_BASE, mp.u32(TABLE + 36));
  }

  @Test
  void firstVcpuBootsTheOthers() {
    for (int vcpu = 0; vcpu < VCPUS; vcpu++) {
      int entry = ENTRIES + 20 * vcpu;
      assertEquals(0, mp.u8(entry), "processor entry");
      assertEquals(vcpu, mp.u8(entry + 1), "APIC id");
      assertEquals(vcpu == 0 ? 3 : 1, mp.u8(entry + 3), "flags");
    }
  }

  @Test
  void everyPinIsTheIsaLineOfItsNumber() {
    int ioapic = ENTRIES + 20 * VCPUS + 8;
    assertEquals(2, mp.u8(ioapic));
    assertEquals(X86Platform.IOAPIC_BASE, mp.u32(ioapic + 4));
    for (int pin = 0; pin < X86Platform.IOAPIC_PINS; pin++) {
      int entry = ioapic + 8 + 8 * pin;
      assertEquals(3, mp.u8(entry), "interrupt entry");
      assertEquals(0, mp.u16(entry + 2), "polarity and trigger as the ISA bus has them");
      assertEquals(pin, mp.u8(entry + 5), "line");
      assertEquals(mp.u8(ioapic + 1), mp.u8(entry + 6), "IOAPIC");
      assertEquals(pin, mp.u8(entry + 7), "pin");
    }
  }

  @Test
  void entryCountIsWhatThereIs() {
    int count = 0;
    for (int offset = ENTRIES; offset < mp.length(); count++) {
      offset += mp.u8(offset) == 0 ? 20 : 8;
    }
    assertEquals(count, mp.u16(TABLE + 34));
  }

  @Test
  void refusesACountOfVcpusThatItCannotName() {
    assertThrows(IllegalArgumentException.class, () -> MpTable.of(0));
    assertThrows(IllegalArgumentException.class, () -> MpTable.of(X86Platform.MAX_VCPUS + 1));
  }
}
