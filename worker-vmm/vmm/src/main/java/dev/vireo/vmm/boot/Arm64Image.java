package dev.vireo.vmm.boot;

import dev.vireo.vmm.memory.GuestMemory;

/**
 * An arm64 Image: an uncompressed kernel that begins with a header of 64 bytes
 * (Documentation/arch/arm64/booting.rst, section 4).
 */
final class Arm64Image {
  static final int TEXT_OFFSET = 8;
  static final int IMAGE_SIZE = 16;
  static final int FLAGS = 24;
  static final int MAGIC_OFFSET = 56;

  /** {@code "ARM\x64"}. */
  static final long MAGIC = 0x644d5241;

  private static final int BIG_ENDIAN = 1;
  private static final int GZIP_MAGIC = 0x8b1f;

  /** Where a kernel goes that does not say how large it is: those before 3.17. */
  private static final long DEFAULT_TEXT_OFFSET = 0x8_0000;

  /** The image is put so far from an address that is a multiple of this. */
  private static final long ALIGNMENT = 2 << 20;

  private final KernelFile file;
  private final long textOffset;
  private final long bytesInMemory;

  private Arm64Image(KernelFile file, long textOffset, long bytesInMemory) {
    this.file = file;
    this.textOffset = textOffset;
    this.bytesInMemory = bytesInMemory;
  }

  /**
   * Recognizes it by its magic.
   *
   * @throws SpecException KERNEL_INVALID or KERNEL_WRONG_ARCHITECTURE
   */
  static Arm64Image of(KernelFile file) {
    if (file.u32(MAGIC_OFFSET) != MAGIC) {
      throw notAnImage(file);
    }
    if ((file.u64(FLAGS) & BIG_ENDIAN) != 0) {
      throw KernelFile.invalid("the kernel is big-endian");
    }
    long imageSize = file.u64(IMAGE_SIZE);
    if (imageSize == 0) {
      return new Arm64Image(file, DEFAULT_TEXT_OFFSET, file.size());
    }
    long textOffset = file.u64(TEXT_OFFSET);
    if (textOffset < 0 || textOffset >= ALIGNMENT) {
      throw KernelFile.invalid("the kernel's text offset is 0x" + Long.toHexString(textOffset));
    }
    // What it needs beyond the file is its BSS.
    if (imageSize < file.size()) {
      throw KernelFile.invalid(
          "the kernel's file has " + file.size() + " bytes, its header tells of " + imageSize);
    }
    return new Arm64Image(file, textOffset, imageSize);
  }

  private static SpecException notAnImage(KernelFile file) {
    if (file.u32(BzImage.HEADER_MAGIC_OFFSET) == BzImage.HEADER_MAGIC) {
      return KernelFile.wrongArchitecture("x86_64");
    }
    if (file.u16(0) == GZIP_MAGIC) {
      return KernelFile.invalid("the kernel is compressed by gzip: unpack it");
    }
    return KernelFile.invalid("the kernel is no arm64 Image");
  }

  /** Its first byte's address, which is where it is entered, in RAM that begins at {@code base}. */
  long address(long base) {
    return base + textOffset;
  }

  /** The first address after everything it occupies. */
  long end(long base) {
    long end = address(base) + bytesInMemory;
    return end < 0 ? Long.MAX_VALUE : end;
  }

  /** Copies it to its place, which lies in memory. */
  void load(GuestMemory memory, long base) {
    file.load(0, file.size(), memory, address(base));
  }
}
