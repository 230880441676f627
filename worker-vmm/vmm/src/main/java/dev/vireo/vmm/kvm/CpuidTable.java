package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * What CPUID answers in a vCPU ({@code struct kvm_cpuid2}), one entry for each leaf and subleaf.
 */
public final class CpuidTable {
  /** {@code KVM_MAX_CPUID_ENTRIES}. */
  static final int MAX_ENTRIES = 256;

  /** {@code KVM_CPUID_FLAG_SIGNIFCANT_INDEX}: the entry answers its subleaf only. */
  private static final int SIGNIFICANT_INDEX = 1;

  private static final int HEADER_BYTES = 8;
  private static final int ENTRY_BYTES = 40;

  /**
   * One answer ({@code struct kvm_cpuid_entry2}).
   *
   * @param index the subleaf, where the leaf has any
   */
  public record Entry(int function, int index, int flags, int eax, int ebx, int ecx, int edx) {
    /** An entry of a leaf with subleaves. */
    public static Entry subleaf(int function, int index, int eax, int ebx, int ecx, int edx) {
      return new Entry(function, index, SIGNIFICANT_INDEX, eax, ebx, ecx, edx);
    }

    /** The same leaf with other answers. */
    public Entry with(int newEax, int newEbx, int newEcx, int newEdx) {
      return new Entry(function, index, flags, newEax, newEbx, newEcx, newEdx);
    }
  }

  private final List<Entry> entries;

  public CpuidTable(List<Entry> entries) {
    this.entries = List.copyOf(entries);
  }

  public List<Entry> entries() {
    return entries;
  }

  static MemorySegment allocate(Arena arena, int entries) {
    MemorySegment table = arena.allocate(HEADER_BYTES + (long) entries * ENTRY_BYTES, 8);
    table.set(JAVA_INT, 0, entries);
    return table;
  }

  static CpuidTable copyOf(MemorySegment table) {
    int count = table.get(JAVA_INT, 0);
    List<Entry> entries = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      long at = HEADER_BYTES + (long) i * ENTRY_BYTES;
      entries.add(
          new Entry(
              table.get(JAVA_INT, at),
              table.get(JAVA_INT, at + 4),
              table.get(JAVA_INT, at + 8),
              table.get(JAVA_INT, at + 12),
              table.get(JAVA_INT, at + 16),
              table.get(JAVA_INT, at + 20),
              table.get(JAVA_INT, at + 24)));
    }
    return new CpuidTable(entries);
  }

  MemorySegment toStructure(Arena arena) {
    MemorySegment table = allocate(arena, entries.size());
    for (int i = 0; i < entries.size(); i++) {
      Entry entry = entries.get(i);
      long at = HEADER_BYTES + (long) i * ENTRY_BYTES;
      table.set(JAVA_INT, at, entry.function());
      table.set(JAVA_INT, at + 4, entry.index());
      table.set(JAVA_INT, at + 8, entry.flags());
      table.set(JAVA_INT, at + 12, entry.eax());
      table.set(JAVA_INT, at + 16, entry.ebx());
      table.set(JAVA_INT, at + 20, entry.ecx());
      table.set(JAVA_INT, at + 24, entry.edx());
    }
    return table;
  }
}
