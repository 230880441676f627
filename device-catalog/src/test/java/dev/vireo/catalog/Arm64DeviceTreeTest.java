package dev.vireo.catalog;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The tree as Debian's device tree compiler, whose library U-Boot and others use, reads it. */
class Arm64DeviceTreeTest {
  private static final long MIB = 1 << 20;

  private static byte[] tree(int devices, int vcpus) {
    return Arm64DeviceTree.of(
        MmioPlan.ARM64.first(devices),
        vcpus,
        256 * MIB,
        "console=ttyS0 quiet",
        new Arm64DeviceTree.Initramfs(0x4f00_0000L, 0x4f12_3456L),
        seed());
  }

  private static byte[] seed() {
    byte[] seed = new byte[Arm64DeviceTree.SEED_BYTES];
    for (int i = 0; i < seed.length; i++) {
      seed[i] = (byte) (i + 1);
    }
    return seed;
  }

  @Test
  void decompilesToTheGoldenText(@TempDir Path directory) throws Exception {
    assumeDtc();
    assertEquals(golden(), decompile(tree(3, 2), directory));
  }

  /** Without a warning: names, cell counts and phandles hold together. */
  @ParameterizedTest
  @ValueSource(ints = {0, 1, 32})
  void isCleanForEveryNumberOfDevices(int devices, @TempDir Path directory) throws Exception {
    assumeDtc();
    String text = decompile(tree(devices, 1), directory);
    // The power button is one more.
    assertEquals(devices + 1, occurrences("virtio_mmio@", text));
    assertEquals(devices + 1, occurrences("dma-coherent;", text));
  }

  @Test
  void withoutAnInitramfsNothingIsSaidOfIt(@TempDir Path directory) throws Exception {
    assumeDtc();
    byte[] tree = Arm64DeviceTree.of(List.of(), 1, MIB, "", null, seed());
    assertEquals(0, occurrences("initrd", decompile(tree, directory)));
  }

  @Test
  void redistributorsAreAsManyAsProcessors(@TempDir Path directory) throws Exception {
    assumeDtc();
    String text = decompile(tree(0, Arm64Platform.MAX_VCPUS), directory);
    assertEquals(Arm64Platform.MAX_VCPUS, occurrences("enable-method = \"psci\"", text));
    assertTrue(text.contains("0x00 0x10000000 0x00 0x4000000>"), "64 MiB of redistributors");
    // Sixteen processors to a cluster, as in their MPIDR.
    assertTrue(text.contains("cpu@f {"), text);
    assertTrue(text.contains("cpu@100 {"), text);
    assertTrue(text.contains("cpu@1f0f {"), text);
  }

  @Test
  void refusesACountOfVcpusThatTheMachineHasNoRoomFor() {
    assertThrows(IllegalArgumentException.class, () -> tree(0, 0));
    assertThrows(IllegalArgumentException.class, () -> tree(0, Arm64Platform.MAX_VCPUS + 1));
  }

  @Test
  void refusesASeedOfAnotherLength() {
    assertThrows(
        IllegalArgumentException.class,
        () -> Arm64DeviceTree.of(List.of(), 1, MIB, "", null, new byte[8]));
  }

  private static int occurrences(String part, String text) {
    return text.split(java.util.regex.Pattern.quote(part), -1).length - 1;
  }

  private static String golden() throws IOException {
    try (InputStream golden =
        Objects.requireNonNull(Arm64DeviceTreeTest.class.getResourceAsStream("arm64.dts"))) {
      return new String(golden.readAllBytes(), UTF_8);
    }
  }

  private static String decompile(byte[] tree, Path directory)
      throws IOException, InterruptedException {
    Path blob = Files.write(directory.resolve("machine.dtb"), tree);
    Path warnings = directory.resolve("warnings");
    Process dtc =
        new ProcessBuilder("dtc", "-I", "dtb", "-O", "dts", blob.toString())
            .redirectError(warnings.toFile())
            .start();
    String text = new String(dtc.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, dtc.waitFor(), () -> read(warnings));
    assertEquals("", read(warnings));
    return text;
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void assumeDtc() {
    assumeTrue(
        Arrays.stream(System.getenv().getOrDefault("PATH", "").split(":", -1))
            .anyMatch(directory -> Files.isExecutable(Path.of(directory, "dtc"))),
        "dtc is not installed (package device-tree-compiler)");
  }
}
