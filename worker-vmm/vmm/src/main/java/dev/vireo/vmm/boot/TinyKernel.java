package dev.vireo.vmm.boot;

import dev.vireo.linux.Fd;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Makes kernels of a few instructions, for rehearsals and tests. */
public final class TinyKernel {
  /** The address of the first byte of x86-64 code. */
  public static final int LOAD_ADDRESS = 0x100000;

  /** Bytes that an arm64 Image has before its code. */
  public static final int ARM64_HEADER_BYTES = 64;

  private static final int EM_X86_64 = 62;
  private static final int FILE_HEADER = 64;
  private static final int PROGRAM_HEADER = 56;
  private static final int NOTE = 20;

  private TinyKernel() {}

  /** Entered in 32-bit protected mode at its first byte, by a PVH note. */
  public static byte[] pvh(byte[] code) {
    int noteAt = FILE_HEADER + 2 * PROGRAM_HEADER;
    int codeAt = noteAt + NOTE;
    byte[] file = new byte[codeAt + code.length];
    ByteBuffer elf = header(file, EM_X86_64, 2);
    segment(elf, FILE_HEADER, 1, codeAt, LOAD_ADDRESS, code.length);
    segment(elf, FILE_HEADER + PROGRAM_HEADER, 4, noteAt, 0, NOTE);
    elf.position(noteAt).putInt(4).putInt(4).putInt(18).putInt(0x006e6558);
    elf.putInt(LOAD_ADDRESS);
    elf.put(code);
    return file;
  }

  /** Entered in 64-bit mode at its first byte. */
  public static byte[] longMode(byte[] code) {
    int codeAt = FILE_HEADER + PROGRAM_HEADER;
    byte[] file = new byte[codeAt + code.length];
    ByteBuffer elf = header(file, EM_X86_64, 1);
    segment(elf, FILE_HEADER, 1, codeAt, LOAD_ADDRESS, code.length);
    elf.position(codeAt).put(code);
    return file;
  }

  /**
   * An arm64 Image, entered behind its header.
   *
   * @param image with {@link #ARM64_HEADER_BYTES} left free for that
   */
  public static byte[] arm64(byte[] image) {
    byte[] file = image.clone();
    ByteBuffer header = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    header.putInt(0x1400_0000 | ARM64_HEADER_BYTES / 4); // b, past the header
    header.putLong(Arm64Image.IMAGE_SIZE, file.length);
    header.putInt(Arm64Image.MAGIC_OFFSET, (int) Arm64Image.MAGIC);
    return file;
  }

  static ByteBuffer header(byte[] file, int machine, int programHeaders) {
    ByteBuffer elf = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    elf.put(new byte[] {0x7f, 'E', 'L', 'F', 2, 1, 1});
    elf.putShort(16, (short) 2).putShort(18, (short) machine).putInt(20, 1);
    elf.putLong(24, LOAD_ADDRESS).putLong(32, FILE_HEADER);
    elf.putShort(52, (short) FILE_HEADER).putShort(54, (short) PROGRAM_HEADER);
    return elf.putShort(56, (short) programHeaders);
  }

  static void segment(ByteBuffer elf, int at, int type, int offset, long address, int bytes) {
    elf.putInt(at, type).putInt(at + 4, 7).putLong(at + 8, offset);
    elf.putLong(at + 16, address).putLong(at + 24, address);
    elf.putLong(at + 32, bytes).putLong(at + 40, bytes);
  }

  /** A kernel as an open file. */
  public static Fd file(byte[] kernel) {
    Fd file = Fd.memory("kernel", 0);
    file.writeFully(kernel, 0);
    return file;
  }
}
