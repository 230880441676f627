package dev.vireo.vmm.virtio.mmio;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.vireo.linux.Fd;
import dev.vireo.linux.MemoryMapping;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * What a driver reads of a device's registers, as a page of memory: each readable register at its
 * offset, then the configuration space. Whoever changes such a register stores it here, and all
 * reads are answered from here: by the transport where they exit, or without an exit where the
 * guest was given the page.
 *
 * <p>One lock, this object's, covers every store, from vCPU and device threads alike. Whoever holds
 * it waits for nobody.
 */
public final class RegisterPage implements AutoCloseable {
  /** Of the page, which is all of a device's address space. */
  public static final int BYTES = 4096;

  private static final VarHandle INT =
      ValueLayout.JAVA_INT.withOrder(ByteOrder.LITTLE_ENDIAN).varHandle().withInvokeExactBehavior();

  // Two pages in one file: one is shown; the other is where the next configuration is written.
  private final Fd file;
  private final MemoryMapping both;
  private final MemoryMapping shown;
  private MemorySegment page;
  private long pageOffset;

  /** A page of zeroes. */
  public RegisterPage() {
    file = Fd.memory("registers", 2L * BYTES);
    MemoryMapping writable = null;
    try {
      writable = MemoryMapping.shared(file, 0, 2L * BYTES);
      shown = MemoryMapping.sharedReadOnly(file, 0, BYTES);
      both = writable;
    } catch (RuntimeException e) {
      if (writable != null) {
        writable.close();
      }
      file.close();
      throw e;
    }
    page = both.segment().asSlice(0, BYTES);
  }

  /** The page as the guest may have it: read-only, at an address that never changes. */
  public MemorySegment shown() {
    return shown.segment();
  }

  /** The 32-bit register at {@code offset}. */
  synchronized int get(int offset) {
    return (int) INT.getAcquire(page, (long) offset);
  }

  synchronized void set(int offset, int value) {
    INT.setRelease(page, (long) offset, value);
  }

  synchronized void setBits(int offset, int bits) {
    set(offset, get(offset) | bits);
  }

  synchronized void clearBits(int offset, int bits) {
    set(offset, get(offset) & ~bits);
  }

  /** {@code width} bytes of the configuration space, zeroes beyond the page. */
  synchronized long readConfig(int offset, int width) {
    long value = 0;
    for (int i = 0; i < width && Register.CONFIG + offset + i < BYTES; i++) {
      value |= Byte.toUnsignedLong(page.get(JAVA_BYTE, Register.CONFIG + offset + i)) << (8 * i);
    }
    return value;
  }

  /**
   * Stores the configuration in place, under the same generation: for the driver's own writes, and
   * before there is a driver.
   */
  synchronized void putConfig(byte[] config) {
    put(page, config);
  }

  /**
   * Stores the configuration and moves its generation on, both at once for whoever reads the page:
   * they are written to the page that is not shown, and then that one is. In place, a driver would
   * read a mixture of old and new between two equal generations.
   */
  synchronized void replaceConfig(byte[] config) {
    long nextOffset = BYTES - pageOffset;
    MemorySegment next = both.segment().asSlice(nextOffset, BYTES);
    next.copyFrom(page);
    put(next, config);
    INT.setRelease(next, (long) Register.CONFIG_GENERATION, get(Register.CONFIG_GENERATION) + 1);
    shown.replaceReadOnly(file, nextOffset);
    page = next;
    pageOffset = nextOffset;
  }

  private static void put(MemorySegment page, byte[] config) {
    for (int i = 0; i < config.length; i++) {
      page.set(JAVA_BYTE, Register.CONFIG + i, config[i]);
    }
  }

  /** Unmaps it; the registers' last values stay. The guest must not run any more. */
  @Override
  public synchronized void close() {
    MemorySegment last = MemorySegment.ofArray(new long[BYTES / Long.BYTES]);
    last.copyFrom(page);
    page = last;
    shown.close();
    both.close();
    file.close();
  }
}
