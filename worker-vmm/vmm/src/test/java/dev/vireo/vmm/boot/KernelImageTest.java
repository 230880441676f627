package dev.vireo.vmm.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.vmm.boot.EntryPoint.Protocol;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which files are kernels, and what is said of those that are not. */
final class KernelImageTest {
  private static final byte[] CODE = {(byte) 0xf4, (byte) 0xeb, (byte) 0xfd};

  private static EntryPoint entryOf(byte[] bytes) {
    try (Fd fd = Kernels.file(bytes);
        KernelFile file = new KernelFile(fd)) {
      return KernelImage.of(file).entry();
    }
  }

  private static SpecException refused(byte[] bytes) {
    SpecException e = assertThrows(SpecException.class, () -> entryOf(bytes));
    assertEquals("boot.kernel", e.field());
    return e;
  }

  private static void assertRefused(ErrorReason reason, String why, ByteBuffer file) {
    SpecException e = refused(Kernels.bytes(file));
    assertEquals(reason, e.reason(), e.getMessage());
    assertTrue(String.valueOf(e.getMessage()).contains(why), e.getMessage());
  }

  @Test
  void bzImageIsEnteredAtItsSixtyFourBitEntry() {
    assertEquals(
        new EntryPoint(Protocol.LINUX_64, 0x100200), entryOf(Kernels.bytes(Kernels.bzImage())));
  }

  @Test
  void bzImageThatDoesNotTellOfASixtyFourBitEntryIsEnteredAtTheOther() {
    ByteBuffer old = Kernels.bzImage().putShort(0x206, (short) 0x20b).putShort(0x236, (short) 0);
    assertEquals(new EntryPoint(Protocol.LINUX_32, 0x100000), entryOf(Kernels.bytes(old)));
  }

  @Test
  void elfWithAPvhNoteIsEnteredThere() {
    assertEquals(new EntryPoint(Protocol.PVH, 0x100000), entryOf(TinyKernel.pvh(CODE)));
  }

  @Test
  void elfWithoutOneIsAVmlinux() {
    assertEquals(new EntryPoint(Protocol.LINUX_64, 0x100000), entryOf(TinyKernel.longMode(CODE)));
  }

  /** Cut off anywhere: always the same reason, never another exception. */
  @Test
  void everyTruncatedElfIsInvalid() {
    byte[] whole = TinyKernel.pvh(CODE);
    for (int length = 0; length < whole.length; length++) {
      SpecException e = refused(Arrays.copyOf(whole, length));
      assertEquals(ErrorReason.KERNEL_INVALID, e.reason(), length + ": " + e.getMessage());
    }
  }

  @Test
  void everyTruncatedBzImageIsInvalid() {
    byte[] whole = Kernels.bytes(Kernels.bzImage());
    for (int length = 0; length < whole.length; length++) {
      SpecException e = refused(Arrays.copyOf(whole, length));
      // Cut within the header, its flags read as zero: then it is "32-bit" or "zImage".
      if (length > 0x264) {
        assertEquals(ErrorReason.KERNEL_INVALID, e.reason(), length + ": " + e.getMessage());
        assertTrue(String.valueOf(e.getMessage()).contains("truncated"), e.getMessage());
      }
    }
  }

  /** Whatever the bytes are, the answer is a kernel or a typed refusal. */
  @Test
  void noFileMakesTheLoaderThrowAnythingElse() {
    Random random = new Random(1);
    byte[][] seeds = {
      TinyKernel.pvh(CODE), TinyKernel.longMode(CODE), Kernels.bytes(Kernels.bzImage())
    };
    for (int round = 0; round < 3000; round++) {
      byte[] mutated = seeds[round % seeds.length].clone();
      int header = Math.min(mutated.length, 0x270);
      for (int change = 0; change < 1 + round % 8; change++) {
        mutated[random.nextInt(header)] = (byte) random.nextInt(256);
      }
      try (Fd fd = Kernels.file(mutated);
          KernelFile file = new KernelFile(fd)) {
        assertTrue(KernelImage.of(file).end() >= 0);
      } catch (SpecException e) {
        assertEquals("boot.kernel", e.field());
      }
    }
  }

  @Test
  void garbageIsInvalid() {
    assertEquals(ErrorReason.KERNEL_INVALID, refused(new byte[8192]).reason());
    assertEquals(ErrorReason.KERNEL_INVALID, refused(new byte[0]).reason());
    byte[] text = "#!/bin/sh\necho no kernel\n".getBytes(StandardCharsets.UTF_8);
    assertEquals(ErrorReason.KERNEL_INVALID, refused(text).reason());
  }

  @Test
  void aDirectoryIsInvalid() {
    try (Fd directory = Fd.open("/tmp", Fd.O_RDONLY)) {
      SpecException e = assertThrows(SpecException.class, () -> new KernelFile(directory));
      assertEquals(ErrorReason.KERNEL_INVALID, e.reason());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {183, 3, 243})
  void elfOfAnotherMachine(int machine) {
    byte[] kernel = TinyKernel.pvh(CODE);
    kernel[18] = (byte) machine;
    assertEquals(ErrorReason.KERNEL_WRONG_ARCHITECTURE, refused(kernel).reason());
  }

  @Test
  void arm64ImageIsOfAnotherArchitecture() {
    ByteBuffer image = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN);
    image.putInt(56, 0x644d5241);
    assertRefused(ErrorReason.KERNEL_WRONG_ARCHITECTURE, "arm64", image);
  }

  @Test
  void thirtyTwoBitBzImageIsOfAnotherArchitecture() {
    assertRefused(
        ErrorReason.KERNEL_WRONG_ARCHITECTURE,
        "32-bit",
        Kernels.bzImage().putShort(0x236, (short) 0));
  }

  @Test
  void protocolTooOld() {
    assertRefused(
        ErrorReason.KERNEL_INVALID,
        "2.05, 2.06 is the oldest",
        Kernels.bzImage().putShort(0x206, (short) 0x205));
  }

  @Test
  void zImage() {
    assertRefused(ErrorReason.KERNEL_INVALID, "zImage", Kernels.bzImage().put(0x211, (byte) 0));
  }

  @Test
  void elfThatWouldOverwriteBootData() {
    byte[] kernel = TinyKernel.longMode(CODE);
    ByteBuffer.wrap(kernel).order(ByteOrder.LITTLE_ENDIAN).putLong(64 + 24, 0x9000);
    SpecException e = refused(kernel);
    assertTrue(String.valueOf(e.getMessage()).contains("below 1 MiB"), e.getMessage());
  }

  @Test
  void elfWhoseEntryIsNotLoaded() {
    byte[] kernel = TinyKernel.longMode(CODE);
    ByteBuffer.wrap(kernel).order(ByteOrder.LITTLE_ENDIAN).putLong(24, 0x200000);
    SpecException e = refused(kernel);
    assertTrue(String.valueOf(e.getMessage()).contains("entry point"), e.getMessage());
  }
}
