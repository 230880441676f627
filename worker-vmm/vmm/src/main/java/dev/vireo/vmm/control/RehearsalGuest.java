package dev.vireo.vmm.control;

import dev.vireo.linux.Linux;
import dev.vireo.vmm.boot.TinyKernel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The guest of a rehearsal: prints a dot, sets up the virtio-blk device in slot 0, reads a sector
 * through it, acknowledges the interrupt, and powers off. What the device reads is in the image
 * (VIRTIO 1.2, sections 2.7, 4.2.2 and 5.2.6).
 */
abstract sealed class RehearsalGuest permits Arm64RehearsalGuest, X86RehearsalGuest {
  static final int IMAGE_BYTES = 0x800;

  private static final int DESCRIPTORS = 0x400;
  private static final int AVAILABLE = 0x440;
  private static final int USED = 0x480;
  private static final int REQUEST = 0x500;
  private static final int STATUS = 0x510;
  private static final int SECTOR = 0x600;

  private static final int QUEUE_SIZE = 8;
  private static final int NEXT = 1;
  private static final int DEVICE_WRITES = 2;

  /** Looks at the used ring or the interrupt this often at most: a second or so. */
  static final int POLLS = 200_000;

  final ByteBuffer image = ByteBuffer.allocate(IMAGE_BYTES).order(ByteOrder.LITTLE_ENDIAN);
  private final int address;

  /**
   * @param address where the image is in the guest
   */
  RehearsalGuest(int address) {
    this.address = address;
  }

  /** A kernel file for a machine of this host's architecture. */
  static byte[] kernel() {
    if (Linux.X86_64) {
      return TinyKernel.pvh(new X86RehearsalGuest().assembled());
    }
    return TinyKernel.arm64(new Arm64RehearsalGuest().assembled());
  }

  final byte[] assembled() {
    assemble();
    layOutRequest();
    return image.array();
  }

  private void assemble() {
    print('.');
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
    awaitUsed(address(USED + 2));
    load(0x60); // InterruptStatus
    store(0x64, 1); // InterruptACK
    print('\n');
    powerOff();
  }

  /** Code that sends a byte out of the serial port. */
  abstract void print(char octet);

  /** Code that writes a register of the device. */
  abstract void store(int register, int value);

  /** Code that reads a register of the device. */
  abstract void load(int register);

  /**
   * Code that waits until the device has used the chain.
   *
   * @param usedIndex address of the used ring's index
   */
  abstract void awaitUsed(int usedIndex);

  /** Code that powers off, which is the end. */
  abstract void powerOff();

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

  private int address(int offset) {
    return address + offset;
  }
}
