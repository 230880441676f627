package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Segment, table and control registers ({@code struct kvm_sregs}). */
public final class SpecialRegisters {
  /** CR0: protection, extension type, paging (Intel SDM volume 3, section 2.5). */
  public static final long CR0_PE = 1;

  public static final long CR0_ET = 1 << 4;
  public static final long CR0_PG = 1L << 31;

  /** CR4: physical address extension. */
  public static final long CR4_PAE = 1 << 5;

  /** EFER: long mode enabled, and active. */
  public static final long EFER_LME = 1 << 8;

  public static final long EFER_LMA = 1 << 10;

  private static final int BYTES = 312;
  private static final int SEGMENT_BYTES = 24;
  private static final int GDT = 192;
  private static final int IDT = 208;
  private static final int CR0 = 224;
  private static final int CR3 = 240;
  private static final int CR4 = 248;
  private static final int EFER = 264;

  /** The segment registers that an entry into a kernel sets. */
  public enum Register {
    CS(0),
    DS(1),
    ES(2),
    FS(3),
    GS(4),
    SS(5),
    TR(6);

    private final long offset;

    Register(int place) {
      this.offset = (long) place * SEGMENT_BYTES;
    }
  }

  private final MemorySegment structure = Arena.ofAuto().allocate(BYTES, 8);

  MemorySegment structure() {
    return structure;
  }

  /**
   * Loads a segment register as if from this descriptor of a GDT.
   *
   * @param descriptor the eight bytes of a code, data or TSS descriptor (SDM volume 3, section
   *     3.4.5)
   */
  public SpecialRegisters segment(Register register, int selector, long descriptor) {
    long at = register.offset;
    boolean granular = bit(descriptor, 55);
    long limit = (descriptor & 0xffff) | ((descriptor >>> 32) & 0xf0000);
    long base = ((descriptor >>> 16) & 0xffffff) | ((descriptor >>> 32) & 0xff000000L);
    structure.set(JAVA_LONG, at, base);
    structure.set(JAVA_INT, at + 8, (int) (granular ? (limit << 12) | 0xfff : limit));
    structure.set(JAVA_SHORT, at + 12, (short) selector);
    structure.set(JAVA_BYTE, at + 14, (byte) ((descriptor >>> 40) & 0xf));
    flag(at + 15, bit(descriptor, 47)); // present
    structure.set(JAVA_BYTE, at + 16, (byte) ((descriptor >>> 45) & 3)); // dpl
    flag(at + 17, bit(descriptor, 54)); // db
    flag(at + 18, bit(descriptor, 44)); // s: code or data
    flag(at + 19, bit(descriptor, 53)); // l
    flag(at + 20, granular);
    flag(at + 21, bit(descriptor, 52)); // avl
    flag(at + 22, false); // unusable
    return this;
  }

  public SpecialRegisters gdt(long base, int limit) {
    return table(GDT, base, limit);
  }

  public SpecialRegisters idt(long base, int limit) {
    return table(IDT, base, limit);
  }

  public SpecialRegisters cr0(long value) {
    structure.set(JAVA_LONG, CR0, value);
    return this;
  }

  public SpecialRegisters cr3(long value) {
    structure.set(JAVA_LONG, CR3, value);
    return this;
  }

  public SpecialRegisters cr4(long value) {
    structure.set(JAVA_LONG, CR4, value);
    return this;
  }

  public SpecialRegisters efer(long value) {
    structure.set(JAVA_LONG, EFER, value);
    return this;
  }

  private SpecialRegisters table(int offset, long base, int limit) {
    structure.set(JAVA_LONG, offset, base);
    structure.set(JAVA_SHORT, offset + 8, (short) limit);
    return this;
  }

  private void flag(long offset, boolean value) {
    structure.set(JAVA_BYTE, offset, (byte) (value ? 1 : 0));
  }

  private static boolean bit(long descriptor, int bit) {
    return ((descriptor >>> bit) & 1) != 0;
  }
}
