package dev.vireo.vmm.boot;

import dev.vireo.vmm.memory.GuestMemory;

/** A kernel in one of the formats that a loader understands, checked and not yet loaded. */
sealed interface KernelImage permits BzImage, ElfImage {
  /** {@code "ARM\x64"}, 56 bytes into an arm64 Image (Documentation/arch/arm64/booting.rst). */
  long ARM64_IMAGE_MAGIC = 0x644d5241;

  /**
   * Recognizes the format by its magic.
   *
   * @throws SpecException KERNEL_INVALID or KERNEL_WRONG_ARCHITECTURE
   */
  static KernelImage of(KernelFile file) {
    if (file.u32(0) == ElfImage.MAGIC) {
      return ElfImage.of(file);
    }
    if (file.u32(BzImage.HEADER_MAGIC_OFFSET) == BzImage.HEADER_MAGIC) {
      return BzImage.of(file);
    }
    if (file.u32(56) == ARM64_IMAGE_MAGIC) {
      throw KernelFile.wrongArchitecture("arm64");
    }
    throw KernelFile.invalid("the kernel is neither an ELF file nor a bzImage");
  }

  /** The first address above everything the kernel occupies until it has its own memory map. */
  long end();

  /** The highest address that a byte of the initramfs may have. */
  long maxInitramfsAddress();

  /** Bytes that a command line may have, without its NUL. */
  int maxCommandLineBytes();

  /** Copies the kernel to its place, which lies in memory. */
  void load(GuestMemory memory);

  /** How to enter it. */
  EntryPoint entry();

  /**
   * The setup header (boot.rst, "The Real-Mode Kernel Header") from file offset 0x1f1 on, to start
   * the boot parameters with.
   */
  byte[] setupHeader();
}
