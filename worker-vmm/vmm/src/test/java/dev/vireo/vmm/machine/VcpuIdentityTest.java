package dev.vireo.vmm.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.vmm.kvm.CpuidTable;
import dev.vireo.vmm.kvm.CpuidTable.Entry;
import java.util.List;
import org.junit.jupiter.api.Test;

final class VcpuIdentityTest {
  private static final CpuidTable HOST =
      new CpuidTable(
          List.of(
              leaf(0, 0x1f, 1, 2, 3),
              leaf(1, 0x50654, 0xff200800, 0, 0x1f8bfbff),
              Entry.subleaf(4, 0, 0x3c004121, 0, 0, 0),
              Entry.subleaf(4, 3, 0x3c07c163, 0, 0, 0),
              leaf(7, 0, 0x42, 0, 0),
              Entry.subleaf(0xb, 0, 1, 2, 0x100, 77),
              Entry.subleaf(0xb, 1, 7, 96, 0x201, 77),
              leaf(0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
              leaf(0x80000008, 0x3030, 0, 0x7f5f, 0),
              leaf(0x8000001e, 9, 0x101, 5, 0)));

  private static Entry leaf(int function, int eax, int ebx, int ecx, int edx) {
    return new Entry(function, 0, 0, eax, ebx, ecx, edx);
  }

  private static Entry find(CpuidTable table, int function, int index) {
    return table.entries().stream()
        .filter(entry -> entry.function() == function && entry.index() == index)
        .findFirst()
        .orElseThrow();
  }

  @Test
  void everyVcpuHasItsOwnApicIdInEveryLeafThatTellsIt() {
    for (int id = 0; id < 3; id++) {
      CpuidTable table = VcpuIdentity.of(HOST, id, 3, false);
      assertEquals(id, find(table, 1, 0).ebx() >>> 24);
      assertEquals(id, find(table, 0xb, 0).edx());
      assertEquals(id, find(table, 0xb, 1).edx());
      assertEquals(id, find(table, 0x1f, 1).edx());
      assertEquals(id, find(table, 0x8000001e, 0).eax());
    }
  }

  @Test
  void oneSocketOfSingleThreadedCores() {
    CpuidTable table = VcpuIdentity.of(HOST, 1, 3, false);
    assertEquals(4, find(table, 1, 0).ebx() >> 16 & 0xff, "ids are numbered by two bits");
    assertEquals(0x0800, find(table, 1, 0).ebx() & 0xffff, "cache line size stays");
    Entry threads = find(table, 0xb, 0);
    assertEquals(List.of(0, 1, 0x100), List.of(threads.eax(), threads.ebx(), threads.ecx()));
    Entry cores = find(table, 0xb, 1);
    assertEquals(List.of(2, 3, 0x201), List.of(cores.eax(), cores.ebx(), cores.ecx()));
    assertEquals(0, find(table, 0xb, 2).ebx(), "the end of the list");
    assertEquals(2 << 12 | 2, find(table, 0x80000008, 0).ecx() & 0xf0ff);
    assertTrue((find(table, 1, 0).edx() & 1 << 28) != 0);
  }

  @Test
  void cachesAreEachCoresOwnButForTheLast() {
    CpuidTable table = VcpuIdentity.of(HOST, 0, 4, false);
    assertEquals(0, find(table, 4, 0).eax() >> 14 & 0xfff);
    assertEquals(3, find(table, 4, 3).eax() >> 14 & 0xfff);
    assertEquals(3, find(table, 4, 0).eax() >>> 26);
    assertEquals(0x121, find(table, 4, 0).eax() & 0x3fff, "type, level and flags stay");
  }

  @Test
  void oneVcpuHasNoSiblings() {
    CpuidTable table = VcpuIdentity.of(HOST, 0, 1, false);
    assertEquals(1, find(table, 1, 0).ebx() >> 16 & 0xff);
    assertFalse((find(table, 1, 0).edx() & 1 << 28) != 0);
    assertEquals(0, find(table, 0xb, 1).eax());
    assertEquals(0, find(table, 0x80000008, 0).ecx() & 0xf0ff);
  }

  @Test
  void tellsThatThereIsAHypervisorAndWhichTimer() {
    assertTrue((find(VcpuIdentity.of(HOST, 0, 1, false), 1, 0).ecx() & 1 << 31) != 0);
    assertFalse((find(VcpuIdentity.of(HOST, 0, 1, false), 1, 0).ecx() & 1 << 24) != 0);
    assertTrue((find(VcpuIdentity.of(HOST, 0, 1, true), 1, 0).ecx() & 1 << 24) != 0);
  }

  @Test
  void leavesThatDoNotTellAnIdentityStay() {
    CpuidTable table = VcpuIdentity.of(HOST, 2, 4, true);
    assertEquals(find(HOST, 7, 0), find(table, 7, 0));
    assertEquals(find(HOST, 0x40000000, 0), find(table, 0x40000000, 0));
  }

  @Test
  void noTopologyLeafWhereTheHostHasNone() {
    CpuidTable old = new CpuidTable(List.of(leaf(0, 0xa, 1, 2, 3), leaf(1, 0, 0, 0, 0)));
    assertTrue(
        VcpuIdentity.of(old, 0, 2, false).entries().stream()
            .noneMatch(entry -> entry.function() == 0xb || entry.function() == 0x1f));
  }
}
