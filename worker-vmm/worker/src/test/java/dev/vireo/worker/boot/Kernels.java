package dev.vireo.worker.boot;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Files that are kernels by their headers, and nothing more. */
public final class Kernels {
  private static final int FILE_BYTES = 4096;

  private Kernels() {}

  public static byte[] elf(int machine) {
    byte[] file = new byte[FILE_BYTES];
    littleEndian(file).putInt(0, 0x464c457f).put(4, (byte) 2).putShort(18, (short) machine);
    return file;
  }

  public static byte[] bzImage() {
    byte[] file = new byte[FILE_BYTES];
    littleEndian(file)
        .putShort(0x1fe, (short) 0xaa55)
        .putInt(0x202, 0x53726448)
        .putShort(0x236, (short) 1);
    return file;
  }

  public static byte[] arm64Image() {
    byte[] file = new byte[FILE_BYTES];
    littleEndian(file).putInt(56, 0x644d5241);
    return file;
  }

  private static ByteBuffer littleEndian(byte[] file) {
    return ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
  }
}
