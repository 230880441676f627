package dev.vireo.systemtests;

import dev.vireo.bench.cluster.Installation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;

/** Files that are not what a spec says they are. */
final class BadFiles {
  /** ELF64: e_machine, and p_memsz of the first program header behind the 64-byte ELF header. */
  private static final int ELF_MACHINE = 18;

  private static final int ELF_FIRST_SEGMENT_MEMORY_SIZE = 64 + 40;
  private static final short EM_AARCH64 = 183;

  private BadFiles() {}

  static Path truncatedElf(Path directory) throws IOException {
    byte[] elf = Files.readAllBytes(Installation.find().probe());
    return Files.write(directory.resolve("vmlinux"), Arrays.copyOf(elf, elf.length / 2));
  }

  static Path armElf(Path directory) throws IOException {
    return patchedProbe(directory, elf -> elf.putShort(ELF_MACHINE, EM_AARCH64));
  }

  static Path elfThatNeeds(long mebibytes, Path directory) throws IOException {
    return patchedProbe(
        directory, elf -> elf.putLong(ELF_FIRST_SEGMENT_MEMORY_SIZE, mebibytes << 20));
  }

  private static Path patchedProbe(Path directory, Consumer<ByteBuffer> patch) throws IOException {
    byte[] elf = Files.readAllBytes(Installation.find().probe());
    patch.accept(ByteBuffer.wrap(elf).order(ByteOrder.LITTLE_ENDIAN));
    return Files.write(directory.resolve("patched.elf"), elf);
  }

  /**
   * Linux's Documentation/arch/x86/boot.rst: a whole setup header, and nothing of what it promises.
   */
  static Path truncatedBzImage(Path directory) throws IOException {
    ByteBuffer setup = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);
    setup.put(0x1f1, (byte) 30); // setup_sects
    setup.putInt(0x1f4, 0x80000); // syssize, in 16 bytes
    setup.putShort(0x1fe, (short) 0xaa55); // boot_flag
    setup.putShort(0x200, (short) 0x6aeb); // jump over the header
    setup.put(0x202, "HdrS".getBytes(StandardCharsets.US_ASCII));
    setup.putShort(0x206, (short) 0x020f); // protocol version
    setup.put(0x211, (byte) 1); // LOADED_HIGH
    setup.putShort(0x236, (short) 1); // XLF_KERNEL_64
    return Files.write(directory.resolve("bzImage"), setup.array());
  }

  static Path halfASector(Path directory) throws IOException {
    return Files.write(directory.resolve("disk.raw"), new byte[512 + 256]);
  }
}
