package dev.vireo.vmm.boot;

import dev.vireo.linux.Fd;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.vmm.memory.GuestMemory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** Kernel files and memory for the loader's tests. */
final class Kernels {
  static final long MIB = 1 << 20;
  static final int SETUP_SECTORS = 4;
  static final int CODE_AT = (SETUP_SECTORS + 1) * 512;
  static final int CODE_BYTES = 64 * 16;

  private Kernels() {}

  /** A bzImage of protocol 2.15 that wants to be at 16 MiB and 2 MiB there. */
  static ByteBuffer bzImage() {
    ByteBuffer file = ByteBuffer.allocate(CODE_AT + CODE_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    file.put(0x1f1, (byte) SETUP_SECTORS).putInt(0x1f4, CODE_BYTES / 16);
    file.putShort(0x1fe, (short) 0xaa55).put(0x200, (byte) 0xeb).put(0x201, (byte) 0x66);
    file.putInt(0x202, 0x53726448).putShort(0x206, (short) 0x20f).put(0x211, (byte) 1);
    file.putInt(0x22c, 0x7fff_ffff).putInt(0x230, 0x20_0000).putShort(0x236, (short) 1);
    file.putInt(0x238, 2047).putLong(0x258, 16 * MIB).putInt(0x260, (int) (2 * MIB));
    for (int i = 0; i < CODE_BYTES; i++) {
      file.put(CODE_AT + i, (byte) (i + 1));
    }
    return file;
  }

  static byte[] bytes(ByteBuffer file) {
    byte[] bytes = new byte[file.capacity()];
    file.get(0, bytes);
    return bytes;
  }

  static Fd file(byte[] bytes) {
    return TinyKernel.file(bytes);
  }

  /** Low memory of this size in a mapping that the caller closes. */
  static GuestMemory memory(MemoryMapping mapping) {
    return new GuestMemory(List.of(new GuestMemory.Region(0, mapping.segment())));
  }
}
