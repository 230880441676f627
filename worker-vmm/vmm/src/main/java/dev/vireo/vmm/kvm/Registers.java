package dev.vireo.vmm.kvm;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The general registers ({@code struct kvm_regs}), those that an entry into a kernel needs. */
public final class Registers {
  /** The bit of RFLAGS that always reads one; interrupts are off. */
  public static final long RFLAGS_RESERVED = 2;

  private static final int BYTES = 144;
  private static final int RBX = 8;
  private static final int RSI = 32;
  private static final int RSP = 48;
  private static final int RIP = 128;
  private static final int RFLAGS = 136;

  private final MemorySegment structure = Arena.ofAuto().allocate(BYTES, 8);

  MemorySegment structure() {
    return structure;
  }

  public Registers rbx(long value) {
    return set(RBX, value);
  }

  public Registers rsi(long value) {
    return set(RSI, value);
  }

  public Registers rsp(long value) {
    return set(RSP, value);
  }

  public Registers rip(long value) {
    return set(RIP, value);
  }

  public Registers rflags(long value) {
    return set(RFLAGS, value);
  }

  public long rip() {
    return structure.get(JAVA_LONG, RIP);
  }

  private Registers set(int offset, long value) {
    structure.set(JAVA_LONG, offset, value);
    return this;
  }
}
