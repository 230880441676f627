package dev.vireo.vmm.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.AcpiTables;
import dev.vireo.catalog.GuestTable;
import dev.vireo.linux.Fd;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.memory.GuestMemory;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a kernel finds in memory, as boot.rst and PVH have it. */
final class X86BootLoaderTest {
  private static final long MIB = Kernels.MIB;
  private static final long ZERO_PAGE = 0x7000;
  private static final long START_INFO = 0x6000;

  private MemoryMapping mapping = MemoryMapping.anonymous(64 * MIB);

  @AfterEach
  void unmap() {
    mapping.close();
  }

  private GuestMemory load(byte[] kernel, byte @Nullable [] initramfs, String commandLine) {
    GuestMemory memory = Kernels.memory(mapping);
    AcpiTables acpi = AcpiTables.of(List.of(), 1);
    try (Fd kernelFile = Kernels.file(kernel);
        Fd initramfsFile = initramfs == null ? null : Kernels.file(initramfs)) {
      X86BootLoader.load(
          memory, kernelFile, initramfsFile, commandLine, acpi.tables(), acpi.rsdpAddress());
    }
    return memory;
  }

  private SpecException refused(byte[] kernel, byte @Nullable [] initramfs, String commandLine) {
    return assertThrows(SpecException.class, () -> load(kernel, initramfs, commandLine));
  }

  private static String text(GuestMemory memory, long address, int length) {
    byte[] bytes = new byte[length];
    memory.read(address, bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  @Test
  void bzImageWithBootParameters() {
    byte[] kernel = Kernels.bytes(Kernels.bzImage());
    byte[] initramfs = "an archive".getBytes(StandardCharsets.UTF_8);
    GuestMemory memory = load(kernel, initramfs, "console=ttyS0");

    assertEquals(1, memory.getByte(0x100000), "code behind the setup sectors");
    assertEquals((byte) Kernels.CODE_BYTES, memory.getByte(0x100000 + Kernels.CODE_BYTES - 1));
    assertEquals(0x53726448, memory.getInt(ZERO_PAGE + 0x202), "the setup header came along");
    assertEquals(0x20f, memory.getShort(ZERO_PAGE + 0x206));
    assertEquals((byte) 0xff, memory.getByte(ZERO_PAGE + 0x210), "a loader without an id");
    assertEquals(0, memory.getInt(ZERO_PAGE + 0x1e4) & 0xff, "nothing before the header");

    int commandLine = memory.getInt(ZERO_PAGE + 0x228);
    assertEquals("console=ttyS0\0", text(memory, commandLine, 14));

    int initramfsAt = memory.getInt(ZERO_PAGE + 0x218);
    assertEquals(64 * MIB - 4096, initramfsAt, "as high as it goes");
    assertEquals(initramfs.length, memory.getInt(ZERO_PAGE + 0x21c));
    assertEquals("an archive", text(memory, initramfsAt, initramfs.length));

    assertEquals("RSD PTR ", text(memory, memory.getLong(ZERO_PAGE + 0x70), 8));
    assertEquals(3, memory.getByte(ZERO_PAGE + 0x1e8));
    assertE820(memory, 0, 0, 0x9fc00, 1);
    assertE820(memory, 1, 0x9fc00, 0x100000 - 0x9fc00, 2);
    assertE820(memory, 2, 0x100000, 63 * MIB, 1);
  }

  private static void assertE820(
      GuestMemory memory, int index, long address, long length, int type) {
    long entry = ZERO_PAGE + 0x2d0 + 20L * index;
    assertEquals(address, memory.getLong(entry));
    assertEquals(length, memory.getLong(entry + 8));
    assertEquals(type, memory.getInt(entry + 16));
  }

  @Test
  void vmlinuxGetsAHeaderToo() {
    GuestMemory memory = load(TinyKernel.longMode(new byte[] {(byte) 0xf4}), null, "");
    assertEquals((byte) 0xf4, memory.getByte(0x100000));
    assertEquals(0xaa55, Short.toUnsignedInt(memory.getShort(ZERO_PAGE + 0x1fe)));
    assertEquals(0x53726448, memory.getInt(ZERO_PAGE + 0x202));
    assertEquals(0, memory.getInt(ZERO_PAGE + 0x218), "no initramfs");
  }

  @Test
  void sixtyFourBitEntryHasMemoryMappedOneToOne() {
    GuestMemory memory = load(TinyKernel.longMode(new byte[] {(byte) 0xf4}), null, "");
    long pml4 = 0x9000;
    for (long address : new long[] {0, 0x100000, 0x3fff_ffffL, 0xffff_ffffL}) {
      long pointers = memory.getLong(pml4) & -4096;
      long directory = memory.getLong(pointers + 8 * (address >>> 30)) & -4096;
      long entry = memory.getLong(directory + 8 * (address >>> 21 & 511));
      assertEquals(0x83, entry & 0xfff, "present, writable, 2 MiB");
      assertEquals(address & -(2 * MIB), entry & -4096);
    }
  }

  @Test
  void pvhStartInfo() {
    byte[] initramfs = new byte[5000];
    GuestMemory memory =
        load(TinyKernel.pvh(new byte[] {(byte) 0xf4}), initramfs, "probe.run=hello");
    assertEquals(0x336ec578, memory.getInt(START_INFO));
    assertEquals(1, memory.getInt(START_INFO + 4), "version");
    assertEquals(1, memory.getInt(START_INFO + 12), "modules");
    long module = memory.getLong(START_INFO + 16);
    assertEquals(64 * MIB - 8192, memory.getLong(module));
    assertEquals(initramfs.length, memory.getLong(module + 8));
    assertEquals("probe.run=hello\0", text(memory, memory.getLong(START_INFO + 24), 16));
    assertEquals("RSD PTR ", text(memory, memory.getLong(START_INFO + 32), 8));
    long map = memory.getLong(START_INFO + 40);
    assertEquals(3, memory.getInt(START_INFO + 48));
    assertEquals(0x100000, memory.getLong(map + 48));
    assertEquals(63 * MIB, memory.getLong(map + 56));
    assertEquals(1, memory.getInt(map + 64));
  }

  @Test
  void firmwareTablesAreWhereTheySay() {
    GuestMemory memory = load(TinyKernel.pvh(new byte[] {(byte) 0xf4}), null, "");
    for (GuestTable table : AcpiTables.of(List.of(), 1).tables()) {
      byte[] found = new byte[table.bytes().length];
      memory.read(table.address(), found);
      assertArrayEquals(table.bytes(), found, table.toString());
    }
  }

  @Test
  void kernelThatDoesNotFit() {
    mapping.close();
    mapping = MemoryMapping.anonymous(16 * MIB);
    SpecException e = refused(Kernels.bytes(Kernels.bzImage()), null, "");
    assertEquals(ErrorReason.MEMORY_TOO_SMALL, e.reason());
    assertEquals("memory_mib", e.field());
    assertTrue(String.valueOf(e.getMessage()).contains("at least 19 MiB"), e.getMessage());
  }

  @Test
  void whatTheMessageAsksForIsEnough() {
    byte[] initramfs = new byte[(int) (3 * MIB + 1)];
    byte[] kernel = Kernels.bytes(Kernels.bzImage());
    mapping.close();
    mapping = MemoryMapping.anonymous(20 * MIB);
    String message = String.valueOf(refused(kernel, initramfs, "").getMessage());
    assertTrue(message.contains("at least 22 MiB"), message);
    mapping.close();
    mapping = MemoryMapping.anonymous(22 * MIB);
    load(kernel, initramfs, "");
  }

  @Test
  void elfSegmentBeyondMemory() {
    byte[] kernel = TinyKernel.longMode(new byte[] {(byte) 0xf4});
    kernel[64 + 40 + 3] = 0x7f; // p_memsz: 2 GiB
    assertEquals(ErrorReason.MEMORY_TOO_SMALL, refused(kernel, null, "").reason());
  }

  @Test
  void initramfsStaysBelowWhereTheKernelCanReach() {
    byte[] kernel = Kernels.bytes(Kernels.bzImage().putInt(0x22c, (int) (40 * MIB - 1)));
    GuestMemory memory = load(kernel, new byte[4096], "");
    assertEquals(40 * MIB - 4096, memory.getInt(ZERO_PAGE + 0x218));
  }

  @Test
  void commandLineUpToTheLimit() {
    byte[] kernel = Kernels.bytes(Kernels.bzImage());
    load(kernel, null, "x".repeat(2047));
    SpecException e = refused(kernel, null, "x".repeat(2048));
    assertEquals(ErrorReason.COMMAND_LINE_TOO_LONG, e.reason());
    assertEquals("boot.command_line", e.field());
    // Bytes count, not characters.
    assertEquals(
        ErrorReason.COMMAND_LINE_TOO_LONG, refused(kernel, null, "ä".repeat(1024)).reason());
  }

  @Test
  void kernelWithAShorterLimit() {
    byte[] kernel = Kernels.bytes(Kernels.bzImage().putInt(0x238, 255));
    load(kernel, null, "x".repeat(255));
    assertEquals(
        ErrorReason.COMMAND_LINE_TOO_LONG, refused(kernel, null, "x".repeat(256)).reason());
  }

  @Test
  void commandLineWithANul() {
    SpecException e = refused(Kernels.bytes(Kernels.bzImage()), null, "quiet\0init=/bin/sh");
    assertEquals(ErrorReason.FIELD_INVALID, e.reason());
  }

  @Test
  void initramfsThatIsADirectory() {
    try (Fd kernel = Kernels.file(TinyKernel.pvh(new byte[] {1}));
        Fd directory = Fd.open("/tmp", Fd.O_RDONLY)) {
      SpecException e =
          assertThrows(
              SpecException.class,
              () ->
                  X86BootLoader.load(Kernels.memory(mapping), kernel, directory, "", List.of(), 0));
      assertEquals(ErrorReason.INITRAMFS_NOT_FOUND, e.reason());
      assertEquals("boot.initramfs", e.field());
    }
  }
}
