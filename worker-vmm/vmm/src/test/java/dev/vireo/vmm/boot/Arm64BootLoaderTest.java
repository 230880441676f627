package dev.vireo.vmm.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.catalog.Arm64Platform;
import dev.vireo.catalog.MmioPlan;
import dev.vireo.linux.Fd;
import dev.vireo.linux.MemoryMapping;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.memory.GuestMemory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What an arm64 kernel finds in memory, as booting.rst has it. */
final class Arm64BootLoaderTest {
  private static final long MIB = 1 << 20;
  private static final long RAM = Arm64Platform.RAM_BASE;
  private static final int FILE_BYTES = 4096;

  private final MemoryMapping mapping = MemoryMapping.anonymous(64 * MIB);
  private final GuestMemory memory =
      new GuestMemory(List.of(new GuestMemory.Region(RAM, mapping.segment())));

  @AfterEach
  void unmap() {
    mapping.close();
  }

  /** An Image that takes 16 MiB in memory. */
  private static ByteBuffer image() {
    ByteBuffer file = ByteBuffer.allocate(FILE_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(16, 16 * MIB).putLong(24, 0xa).putInt(56, 0x644d5241);
    return file.put(64, (byte) 42);
  }

  private Arm64BootLoader.Entry load(
      ByteBuffer kernel, byte @Nullable [] initramfs, String commandLine) {
    try (Fd kernelFile = Kernels.file(Kernels.bytes(kernel));
        Fd initramfsFile = initramfs == null ? null : Kernels.file(initramfs)) {
      return Arm64BootLoader.load(
          memory, kernelFile, initramfsFile, commandLine, MmioPlan.ARM64.first(1), 1);
    }
  }

  private SpecException refused(ByteBuffer kernel, byte @Nullable [] initramfs) {
    return assertThrows(SpecException.class, () -> load(kernel, initramfs, ""));
  }

  @Test
  void aKernelIsEnteredAtItsFirstByte() {
    Arm64BootLoader.Entry entry = load(image(), null, "");
    assertEquals(RAM, entry.address());
    assertEquals(42, memory.getByte(RAM + 64));
  }

  @Test
  void aTextOffsetIsHeeded() {
    assertEquals(RAM + 0x8_0000, load(image().putLong(8, 0x8_0000), null, "").address());
  }

  /** Before 3.17 the header told neither size nor, in a known byte order, offset. */
  @Test
  void anOldKernelGoesWhereOldKernelsWent() {
    ByteBuffer old = image().putLong(16, 0).putLong(8, 0x1234);
    assertEquals(RAM + 0x8_0000, load(old, null, "").address());
  }

  /** Within two megabytes of its own, so that the kernel can map it by one block. */
  @Test
  void theDeviceTreeHasTheLastTwoMegabytes() {
    long tree = load(image(), null, "quiet").deviceTree();
    assertEquals(RAM + 62 * MIB, tree);
    assertEquals(0xd00dfeed, Integer.reverseBytes(memory.getInt(tree)));
    assertTrue(bytes(tree, 4096).contains("quiet\0"));
  }

  @Test
  void theInitramfsLiesBelowTheDeviceTree() {
    byte[] initramfs = "an archive".getBytes(StandardCharsets.UTF_8);
    long tree = load(image(), initramfs, "").deviceTree();
    assertEquals("an archive", bytes(tree - 4096, initramfs.length));
    assertTrue(bytes(tree, 4096).contains("linux,initrd-start\0"));
  }

  @Test
  void whatDoesNotFitIsRefused() {
    SpecException e = refused(image().putLong(16, 61 * MIB), new byte[(int) (2 * MIB)]);
    assertEquals(ErrorReason.MEMORY_TOO_SMALL, e.reason());
    assertEquals("memory_mib", e.field());
    assertEquals(
        ErrorReason.MEMORY_TOO_SMALL, refused(image().putLong(16, Long.MAX_VALUE), null).reason());
  }

  @Test
  void filesThatAreNoImagesAreRefused() {
    assertRefused(ErrorReason.KERNEL_INVALID, "no arm64 Image", image().putInt(56, 0));
    assertRefused(ErrorReason.KERNEL_INVALID, "big-endian", image().putLong(24, 1));
    assertRefused(ErrorReason.KERNEL_INVALID, "text offset", image().putLong(8, 3 * MIB));
    assertRefused(ErrorReason.KERNEL_INVALID, "text offset", image().putLong(8, -1));
    assertRefused(ErrorReason.KERNEL_INVALID, "its header tells", image().putLong(16, 4095));
    assertRefused(ErrorReason.KERNEL_INVALID, "its header tells", image().putLong(16, -1));
    ByteBuffer gzip = ByteBuffer.allocate(FILE_BYTES).put((byte) 0x1f).put((byte) 0x8b);
    assertRefused(ErrorReason.KERNEL_INVALID, "gzip", gzip);
    assertRefused(ErrorReason.KERNEL_WRONG_ARCHITECTURE, "x86_64", Kernels.bzImage());
  }

  private void assertRefused(ErrorReason reason, String why, ByteBuffer file) {
    SpecException e = refused(file, null);
    assertEquals(reason, e.reason(), e.getMessage());
    assertTrue(String.valueOf(e.getMessage()).contains(why), e.getMessage());
  }

  @Test
  void aCommandLineThatIsTooLongIsRefused() {
    SpecException e =
        assertThrows(SpecException.class, () -> load(image(), null, "x".repeat(2048)));
    assertEquals(ErrorReason.COMMAND_LINE_TOO_LONG, e.reason());
  }

  private String bytes(long address, int length) {
    byte[] bytes = new byte[length];
    memory.read(address, bytes);
    return new String(bytes, StandardCharsets.ISO_8859_1);
  }
}
