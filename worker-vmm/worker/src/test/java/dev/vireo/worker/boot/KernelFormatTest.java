package dev.vireo.worker.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.worker.boot.KernelFormat.Kind;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class KernelFormatTest {
  @Test
  void recognizesEachByItsMagic() {
    assertEquals(
        Optional.of(new KernelFormat(Kind.ELF, Architecture.X86_64, 0)),
        recognize(Kernels.elf(62)));
    assertEquals(
        Optional.of(new KernelFormat(Kind.ELF, Architecture.ARM64, 0)),
        recognize(Kernels.elf(183)));
    assertEquals(
        Optional.of(new KernelFormat(Kind.BZ_IMAGE, Architecture.X86_64, 5 * 512)),
        recognize(Kernels.bzImage()));
    assertEquals(
        Optional.of(new KernelFormat(Kind.ARM64_IMAGE, Architecture.ARM64, 0)),
        recognize(Kernels.arm64Image()));
  }

  @Test
  void aMachineThatNobodyHasIsNoArchitecture() {
    int riscv = 243;
    assertEquals(Optional.of(new KernelFormat(Kind.ELF, null, 0)), recognize(Kernels.elf(riscv)));
    byte[] elf32 = Kernels.elf(3);
    elf32[4] = 1;
    assertEquals(Optional.of(new KernelFormat(Kind.ELF, null, 0)), recognize(elf32));
    byte[] bzImage32 = Kernels.bzImage();
    bzImage32[0x236] = 0;
    assertEquals(Optional.of(new KernelFormat(Kind.BZ_IMAGE, null, 5 * 512)), recognize(bzImage32));
  }

  /** Documentation/arch/x86/boot.rst: setup_sects and syssize, both unsigned. */
  @Test
  void aBzImageTellsHowLongItMustBe() {
    byte[] bzImage = Kernels.bzImage();
    ByteBuffer.wrap(bzImage)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(0x1f1, (byte) 0xff)
        .putInt(0x1f4, 0xffff_fff0);

    assertEquals(256 * 512 + 0xffff_fff0L * 16, recognize(bzImage).orElseThrow().leastBytes());
  }

  @Test
  void nothingElseIsAKernelHoweverShort() {
    byte[] bzImage = Kernels.bzImage();
    for (int length = 0; length < 0x238; length++) {
      assertTrue(
          KernelFormat.recognize(ByteBuffer.wrap(bzImage, 0, length)).isEmpty(), "" + length);
    }
    assertTrue(
        recognize("#!/bin/sh\n".getBytes(java.nio.charset.StandardCharsets.UTF_8)).isEmpty());
  }

  private static Optional<KernelFormat> recognize(byte[] file) {
    return KernelFormat.recognize(ByteBuffer.wrap(file));
  }
}
