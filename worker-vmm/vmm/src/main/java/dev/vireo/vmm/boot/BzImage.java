package dev.vireo.vmm.boot;

import dev.vireo.vmm.boot.EntryPoint.Protocol;
import dev.vireo.vmm.memory.GuestMemory;

/**
 * A bzImage: a compressed kernel behind a setup header (boot.rst, "The Real-Mode Kernel Header";
 * offsets are the file's).
 */
final class BzImage implements KernelImage {
  static final int HEADER_MAGIC_OFFSET = 0x202;

  /** {@code "HdrS"}. */
  static final long HEADER_MAGIC = 0x53726448;

  static final int SETUP_HEADER = 0x1f1;

  private static final int SETUP_SECTS = 0x1f1;
  private static final int SYSSIZE = 0x1f4;
  private static final int JUMP_OFFSET = 0x201;
  private static final int VERSION = 0x206;
  private static final int LOADFLAGS = 0x211;
  private static final int INITRD_ADDR_MAX = 0x22c;
  private static final int XLOADFLAGS = 0x236;
  private static final int CMDLINE_SIZE = 0x238;
  private static final int PREF_ADDRESS = 0x258;
  private static final int INIT_SIZE = 0x260;

  private static final int LOADED_HIGH = 1;
  private static final int XLF_KERNEL_64 = 1;
  private static final long MAX_PHYSICAL_ADDRESS = 1L << 52;
  private static final int SECTOR_BYTES = 512;
  private static final int ENTRY_64_OFFSET = 0x200;

  private static final int FIRST_WITH_COMMAND_LINE_SIZE = 0x206;
  private static final int FIRST_WITH_PREFERRED_ADDRESS = 0x20a;
  private static final int FIRST_WITH_XLOADFLAGS = 0x20c;

  private final KernelFile file;
  private final long codeOffset;
  private final long codeBytes;

  private BzImage(KernelFile file, long codeOffset, long codeBytes) {
    this.file = file;
    this.codeOffset = codeOffset;
    this.codeBytes = codeBytes;
  }

  static BzImage of(KernelFile file) {
    int version = file.u16(VERSION);
    if (version < FIRST_WITH_COMMAND_LINE_SIZE) {
      throw KernelFile.invalid(
          "the bzImage has boot protocol " + text(version) + ", 2.06 is the oldest that works");
    }
    if ((file.u8(LOADFLAGS) & LOADED_HIGH) == 0) {
      throw KernelFile.invalid("the kernel is a zImage, not a bzImage");
    }
    if (version >= FIRST_WITH_XLOADFLAGS && (file.u16(XLOADFLAGS) & XLF_KERNEL_64) == 0) {
      throw KernelFile.wrongArchitecture("32-bit x86");
    }
    int setupSectors = file.u8(SETUP_SECTS) == 0 ? 4 : file.u8(SETUP_SECTS);
    long codeOffset = (setupSectors + 1L) * SECTOR_BYTES;
    long codeBytes = file.u32(SYSSIZE) * 16;
    if (file.size() < codeOffset + codeBytes || codeBytes == 0) {
      throw KernelFile.invalid(
          "the bzImage is truncated: "
              + file.size()
              + " bytes, its header tells of "
              + (codeOffset + codeBytes));
    }
    return new BzImage(file, codeOffset, codeBytes);
  }

  private static String text(int version) {
    int minor = version & 0xff;
    return (version >> 8) + (minor < 10 ? ".0" : ".") + minor;
  }

  private int version() {
    return file.u16(VERSION);
  }

  @Override
  public long end() {
    long loaded = BootLayout.HIGH_MEMORY + codeBytes;
    if (version() < FIRST_WITH_PREFERRED_ADDRESS) {
      return loaded;
    }
    long preferred = file.u64(PREF_ADDRESS);
    if (preferred < 0 || preferred > MAX_PHYSICAL_ADDRESS) {
      throw KernelFile.invalid("the bzImage wants to be at 0x" + Long.toHexString(preferred));
    }
    // It decompresses itself there, and uses init_size bytes before it looks at the memory map.
    return Math.max(loaded, preferred + file.u32(INIT_SIZE));
  }

  @Override
  public long maxInitramfsAddress() {
    return file.u32(INITRD_ADDR_MAX);
  }

  @Override
  public int maxCommandLineBytes() {
    return (int) Math.min(file.u32(CMDLINE_SIZE), Integer.MAX_VALUE);
  }

  @Override
  public void load(GuestMemory memory) {
    file.load(codeOffset, codeBytes, memory, BootLayout.HIGH_MEMORY);
  }

  @Override
  public EntryPoint entry() {
    // Before 2.12 nothing tells whether there is a 64-bit entry.
    return version() >= FIRST_WITH_XLOADFLAGS
        ? new EntryPoint(Protocol.LINUX_64, BootLayout.HIGH_MEMORY + ENTRY_64_OFFSET)
        : new EntryPoint(Protocol.LINUX_32, BootLayout.HIGH_MEMORY);
  }

  @Override
  public byte[] setupHeader() {
    int end = HEADER_MAGIC_OFFSET + file.u8(JUMP_OFFSET);
    return file.bytes(SETUP_HEADER, end - SETUP_HEADER);
  }
}
