package dev.vireo.vmm.control;

import dev.vireo.catalog.MmioPlan;
import dev.vireo.catalog.X86Platform;
import dev.vireo.vmm.boot.TinyKernel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The guest of a rehearsal: prints a dot, sets up the virtio-blk device in slot 0, reads a sector
 * through it, acknowledges the interrupt, and powers off. 32-bit code without a stack; what the
 * device reads is in the image (VIRTIO 1.2, sections 2.7, 4.2.2 and 5.2.6).
 */
final class RehearsalGuest {
  private static final int IMAGE_BYTES = 0x800;
  private static final int DESCRIPTORS = 0x400;
  private static final int AVAILABLE = 0x440;
  private static final int USED = 0x480;
  private static final int REQUEST = 0x500;
  private static final int STATUS = 0x510;
  private static final int SECTOR = 0x600;

  private static final int QUEUE_SIZE = 8;
  private static final int NEXT = 1;
  private static final int DEVICE_WRITES = 2;

  /** Looks at the used ring this often at most: a second or so. */
  private static final int POLLS = 200_000;

  private static final int DEVICE = (int) MmioPlan.X86_64.slot(0).base();

  private final ByteBuffer image;

  private RehearsalGuest(byte[] bytes) {
    this.image = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** An ELF file. */
  static byte[] kernel() {
    byte[] bytes = new byte[IMAGE_BYTES];
    RehearsalGuest guest = new RehearsalGuest(bytes);
    guest.assemble();
    guest.layOutRequest();
    return TinyKernel.pvh(bytes);
  }

  private void assemble() {
    outByte(X86Platform.SERIAL_PORT, '.');
    store(0x70, 0); // Status: reset
    store(0x70, 1); // ACKNOWLEDGE
    store(0x70, 3); // DRIVER
    store(0x24, 1); // DriverFeaturesSel: the upper word
    store(0x20, 1); // DriverFeatures: VERSION_1
    store(0x70, 0xb); // FEATURES_OK
    store(0x30, 0); // QueueSel
    store(0x38, QUEUE_SIZE); // QueueNum
    store(0x80, address(DESCRIPTORS)); // QueueDescLow
    store(0x90, address(AVAILABLE)); // QueueDriverLow
    store(0xa0, address(USED)); // QueueDeviceLow
    store(0x44, 1); // QueueReady
    store(0x70, 0xf); // DRIVER_OK
    store(0x50, 0); // QueueNotify
    awaitUsed();
    load(0x60); // InterruptStatus
    store(0x64, 1); // InterruptACK
    outByte(X86Platform.SERIAL_PORT, '\n');
    outWord(X86Platform.PM1A_CONTROL_PORT, X86Platform.PM1_SLEEP_ENABLE);
    image.put((byte) 0xf4); // hlt
  }

  private void layOutRequest() {
    descriptor(0, REQUEST, 16, NEXT); // type IN, sector 0: all zeroes
    descriptor(1, SECTOR, 512, NEXT | DEVICE_WRITES);
    descriptor(2, STATUS, 1, DEVICE_WRITES);
    image.putShort(AVAILABLE + 2, (short) 1); // index: one chain, whose head is 0
  }

  private void descriptor(int index, int offset, int length, int flags) {
    int at = DESCRIPTORS + 16 * index;
    image.putLong(at, address(offset)).putInt(at + 8, length);
    image.putShort(at + 12, (short) flags).putShort(at + 14, (short) (index + 1));
  }

  private static int address(int offset) {
    return TinyKernel.LOAD_ADDRESS + offset;
  }

  /** {@code mov dword [DEVICE + register], value}. */
  private void store(int register, int value) {
    image.put((byte) 0xc7).put((byte) 0x05).putInt(DEVICE + register).putInt(value);
  }

  /** {@code mov eax, [DEVICE + register]}. */
  private void load(int register) {
    image.put((byte) 0xa1).putInt(DEVICE + register);
  }

  /** {@code mov edx, port; mov al, value; out dx, al}. */
  private void outByte(int port, int value) {
    image.put((byte) 0xba).putInt(port).put((byte) 0xb0).put((byte) value).put((byte) 0xee);
  }

  /** {@code mov edx, port; mov eax, value; out dx, ax}. */
  private void outWord(int port, int value) {
    image.put((byte) 0xba).putInt(port).put((byte) 0xb8).putInt(value);
    image.put((byte) 0x66).put((byte) 0xef);
  }

  /**
   * {@code mov ecx, POLLS; again: cmp word [used index], 0; jne done; dec ecx; jnz again; done:}.
   */
  private void awaitUsed() {
    image.put((byte) 0xb9).putInt(POLLS);
    image
        .put((byte) 0x66)
        .put((byte) 0x83)
        .put((byte) 0x3d)
        .putInt(address(USED + 2))
        .put((byte) 0);
    image.put((byte) 0x75).put((byte) 3);
    image.put((byte) 0x49).put((byte) 0x75).put((byte) -13);
  }
}
