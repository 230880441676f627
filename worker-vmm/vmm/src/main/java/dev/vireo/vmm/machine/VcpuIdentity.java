package dev.vireo.vmm.machine;

import dev.vireo.vmm.kvm.CpuidTable;
import dev.vireo.vmm.kvm.CpuidTable.Entry;
import java.util.ArrayList;
import java.util.List;

/**
 * What CPUID tells one of several vCPUs about itself: what the host can give, with this vCPU's APIC
 * id and a topology of one socket whose cores have one thread each (Intel SDM volume 2, CPUID; AMD
 * APM volume 3, appendix E).
 */
final class VcpuIdentity {
  private static final int HYPERVISOR = 1 << 31;
  private static final int TSC_DEADLINE = 1 << 24;
  private static final int HYPER_THREADING = 1 << 28;
  private static final int LEVEL_SMT = 1 << 8;
  private static final int LEVEL_CORE = 2 << 8;
  private static final int LAST_LEVEL_CACHE = 3;

  private VcpuIdentity() {}

  /**
   * The table for vCPU {@code id} of {@code count}.
   *
   * @param tscDeadline whether KVM's local APIC has the TSC-deadline timer, which its list of
   *     supported leaves does not tell
   */
  static CpuidTable of(CpuidTable supported, int id, int count, boolean tscDeadline) {
    List<Entry> entries = new ArrayList<>(supported.entries().size() + 3);
    int highestBasicLeaf = 0;
    for (Entry entry : supported.entries()) {
      switch (entry.function()) {
        case 0 -> {
          highestBasicLeaf = entry.eax();
          entries.add(entry);
        }
        case 0x1 -> entries.add(features(entry, id, count, tscDeadline));
        case 0x4, 0x8000001d -> entries.add(cacheSharing(entry, count));
        case 0xb, 0x1f -> {} // made anew below
        case 0x80000008 -> entries.add(amdCoreCount(entry, count));
        case 0x8000001e -> entries.add(entry.with(id, id & 0xff, 0, 0));
        default -> entries.add(entry);
      }
    }
    if (highestBasicLeaf >= 0xb) {
      addTopology(entries, 0xb, id, count);
    }
    if (highestBasicLeaf >= 0x1f) {
      addTopology(entries, 0x1f, id, count);
    }
    return new CpuidTable(entries);
  }

  private static Entry features(Entry entry, int id, int count, boolean tscDeadline) {
    int logicalProcessors = 1 << bitsFor(count);
    int ebx = (entry.ebx() & 0xffff) | ((logicalProcessors & 0xff) << 16) | (id << 24);
    int ecx = entry.ecx() | HYPERVISOR | (tscDeadline ? TSC_DEADLINE : 0);
    int edx = count > 1 ? entry.edx() | HYPER_THREADING : entry.edx() & ~HYPER_THREADING;
    return entry.with(entry.eax(), ebx, ecx, edx);
  }

  /** The last level is everybody's, the others are each core's own. */
  private static Entry cacheSharing(Entry entry, int count) {
    int level = (entry.eax() >> 5) & 7;
    int sharing = level >= LAST_LEVEL_CACHE ? (1 << bitsFor(count)) - 1 : 0;
    int eax = (entry.eax() & 0x3fff) | ((sharing & 0xfff) << 14);
    if (entry.function() == 0x4 && (entry.eax() & 0x1f) != 0) {
      eax |= Math.min((1 << bitsFor(count)) - 1, 0x3f) << 26; // core ids in the package
    }
    return entry.with(eax, entry.ebx(), entry.ecx(), entry.edx());
  }

  private static Entry amdCoreCount(Entry entry, int count) {
    int ecx = (entry.ecx() & ~0xf0ff) | (bitsFor(count) << 12) | ((count - 1) & 0xff);
    return entry.with(entry.eax(), entry.ebx(), ecx, entry.edx());
  }

  private static void addTopology(List<Entry> entries, int function, int id, int count) {
    entries.add(Entry.subleaf(function, 0, 0, 1, LEVEL_SMT, id));
    entries.add(Entry.subleaf(function, 1, bitsFor(count), count, LEVEL_CORE | 1, id));
    entries.add(Entry.subleaf(function, 2, 0, 0, 2, id));
  }

  /** Bits of an APIC id that number {@code count} cores. */
  private static int bitsFor(int count) {
    return 32 - Integer.numberOfLeadingZeros(count - 1);
  }
}
