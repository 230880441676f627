package dev.vireo.vmm.control;

import dev.vireo.catalog.Arm64Platform;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.vmm.boot.TinyKernel;

/** In A64 code without a stack, memory uncached, as a kernel finds it (ARM DDI 0487, C6). */
final class Arm64RehearsalGuest extends RehearsalGuest {
  private static final long DEVICE = MmioPlan.ARM64.slot(0).base();

  private static final int INTERRUPT_STATUS = 0x60;

  /** PSCI's function SYSTEM_OFF (ARM DEN 0022). */
  private static final int SYSTEM_OFF = 0x8400_0008;

  /** Registers, by number: a value, an address, a count. */
  private static final int VALUE = 0;

  private static final int ADDRESS = 1;
  private static final int COUNT = 2;

  Arm64RehearsalGuest() {
    super((int) Arm64Platform.RAM_BASE);
    image.position(TinyKernel.ARM64_HEADER_BYTES);
  }

  @Override
  void print(char octet) {
    move(VALUE, octet);
    move(ADDRESS, (int) Arm64Platform.SERIAL_BASE);
    image.putInt(0x3900_0000 | ADDRESS << 5 | VALUE); // strb value, [address]
  }

  @Override
  void store(int register, int value) {
    move(VALUE, value);
    move(ADDRESS, (int) DEVICE + register);
    image.putInt(0xb900_0000 | ADDRESS << 5 | VALUE); // str value, [address]
  }

  @Override
  void load(int register) {
    move(ADDRESS, (int) DEVICE + register);
    image.putInt(0xb940_0000 | ADDRESS << 5 | VALUE); // ldr value, [address]
  }

  /**
   * Asks for the interrupt: the ring, read past the caches, might be an old one.
   *
   * <p>{@code again: ldr value, [address]; cbnz value, done; subs count, count, 1; b.ne again;
   * done:}.
   */
  @Override
  void awaitUsed(int usedIndex) {
    move(COUNT, POLLS);
    move(ADDRESS, (int) DEVICE + INTERRUPT_STATUS);
    image.putInt(0xb940_0000 | ADDRESS << 5 | VALUE);
    image.putInt(0x3500_0000 | 3 << 5 | VALUE);
    image.putInt(0x7100_0400 | COUNT << 5 | COUNT);
    image.putInt(0x5400_0001 | (-3 & 0x7_ffff) << 5);
  }

  @Override
  void powerOff() {
    move(VALUE, SYSTEM_OFF);
    image.putInt(0xd400_0002); // hvc 0
  }

  /** {@code movz register, lower half; movk register, upper half, lsl 16}. */
  private void move(int register, int value) {
    image.putInt(0x5280_0000 | (value & 0xffff) << 5 | register);
    image.putInt(0x72a0_0000 | (value >>> 16) << 5 | register);
  }
}
