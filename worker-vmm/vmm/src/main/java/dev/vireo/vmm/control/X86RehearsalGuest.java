package dev.vireo.vmm.control;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.catalog.X86Platform;
import dev.vireo.vmm.boot.TinyKernel;

/** In 32-bit code without a stack. */
final class X86RehearsalGuest extends RehearsalGuest {
  private static final int DEVICE = (int) MmioPlan.X86_64.slot(0).base();

  X86RehearsalGuest() {
    super(TinyKernel.LOAD_ADDRESS);
  }

  /** {@code mov dword [DEVICE + register], value}. */
  @Override
  void store(int register, int value) {
    image.put((byte) 0xc7).put((byte) 0x05).putInt(DEVICE + register).putInt(value);
  }

  /** {@code mov eax, [DEVICE + register]}. */
  @Override
  void load(int register) {
    image.put((byte) 0xa1).putInt(DEVICE + register);
  }

  /** {@code mov edx, port; mov al, value; out dx, al}. */
  @Override
  void print(char octet) {
    image.put((byte) 0xba).putInt(X86Platform.SERIAL_PORT);
    image.put((byte) 0xb0).put((byte) octet).put((byte) 0xee);
  }

  /** {@code mov edx, port; mov eax, value; out dx, ax; hlt}. */
  @Override
  void powerOff() {
    image.put((byte) 0xba).putInt(X86Platform.PM1A_CONTROL_PORT);
    image.put((byte) 0xb8).putInt(X86Platform.PM1_SLEEP_ENABLE);
    image.put((byte) 0x66).put((byte) 0xef).put((byte) 0xf4);
  }

  /**
   * {@code mov ecx, POLLS; again: cmp word [used index], 0; jne done; dec ecx; jnz again; done:}.
   */
  @Override
  void awaitUsed(int usedIndex) {
    image.put((byte) 0xb9).putInt(POLLS);
    image.put((byte) 0x66).put((byte) 0x83).put((byte) 0x3d).putInt(usedIndex).put((byte) 0);
    image.put((byte) 0x75).put((byte) 3);
    image.put((byte) 0x49).put((byte) 0x75).put((byte) -13);
  }
}
