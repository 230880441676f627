package dev.vireo.images;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.commons.compress.archivers.cpio.CpioArchiveInputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A made-up kernel's modules are resolved as depmod would. */
class KernelModulesTest {
  @TempDir Path temporary;
  private Path directory = Path.of("");

  @BeforeEach
  void modules() throws IOException {
    directory = Files.createDirectories(temporary.resolve("6.1.0-test"));
    Files.writeString(
        directory.resolve("modules.builtin"), "kernel/lib/crc16.ko\nkernel/fs/ext4/ext4.ko\n");
    module("drivers/virtio/virtio.ko");
    module("drivers/virtio/virtio_ring.ko", "depends=virtio");
    module("drivers/virtio/virtio_mmio.ko", "depends=virtio,virtio_ring");
    module("drivers/block/virtio_blk.ko", "depends=virtio_ring,virtio,crc16");
    module("net/sched-core.ko", "depends=", "softdep=pre: virtio no-such-alias post: virtio_blk");
  }

  @Test
  void eachModuleComesAfterWhatItNeeds() throws Exception {
    var closure = KernelModules.of(directory).closure(List.of("virtio_blk", "virtio_mmio"));

    assertEquals(List.of("virtio", "virtio_ring", "virtio_blk", "virtio_mmio"), names(closure));
  }

  @Test
  void whatIsBuiltInIsNotLoaded() throws Exception {
    assertEquals(List.of(), KernelModules.of(directory).closure(List.of("ext4")));
  }

  @Test
  void softDependenciesComeFirstWhereTheyExist() throws Exception {
    var closure = KernelModules.of(directory).closure(List.of("sched-core"));

    assertEquals(List.of("virtio", "sched_core"), names(closure));
  }

  @Test
  void modulesDepListsAllNeedsTheLastToLoadFirst() throws Exception {
    var closure = KernelModules.of(directory).closure(List.of("virtio_mmio", "virtio_blk"));

    assertEquals(
        """
        drivers/virtio/virtio.ko:
        drivers/virtio/virtio_ring.ko: drivers/virtio/virtio.ko
        drivers/virtio/virtio_mmio.ko: drivers/virtio/virtio_ring.ko drivers/virtio/virtio.ko
        drivers/block/virtio_blk.ko: drivers/virtio/virtio_ring.ko drivers/virtio/virtio.ko
        """,
        KernelModules.modulesDep(closure));
  }

  @Test
  void theAgentsInitramfsListsThemInTheOrderInWhichTheyAreLoaded() throws Exception {
    Initramfs initramfs = GuestAgent.initramfs("the agent".getBytes(US_ASCII));
    KernelModules.of(directory).addInLoadOrder(initramfs, List.of("virtio_mmio", "ext4"));
    ByteArrayOutputStream archive = new ByteArrayOutputStream();
    initramfs.writeTo(archive);
    Map<String, String> files = files(archive.toByteArray());

    assertEquals("the agent", files.get("init"));
    assertEquals(
        """
        /lib/modules/6.1.0-test/drivers/virtio/virtio.ko
        /lib/modules/6.1.0-test/drivers/virtio/virtio_ring.ko
        /lib/modules/6.1.0-test/drivers/virtio/virtio_mmio.ko
        """,
        files.get("lib/vireo/modules"));
    for (String path : String.valueOf(files.get("lib/vireo/modules")).split("\n", -1)) {
      assertTrue(path.isEmpty() || files.containsKey(path.substring(1)), path);
    }
    assertTrue(files.keySet().containsAll(List.of("dev/console", "proc", "sys", "run")));
  }

  /** The content of everything in an archive, by its path. */
  private static Map<String, String> files(byte[] archive) throws IOException {
    Map<String, String> files = new HashMap<>();
    var cpio = new CpioArchiveInputStream(new ByteArrayInputStream(archive));
    for (var entry = cpio.getNextEntry(); entry != null; entry = cpio.getNextEntry()) {
      files.put(entry.getName(), new String(cpio.readAllBytes(), US_ASCII));
    }
    return files;
  }

  @Test
  void anUnknownModuleIsRefused() {
    var refusal =
        assertThrows(
            ImageException.class, () -> KernelModules.of(directory).closure(List.of("floppy")));

    assertEquals("kernel 6.1.0-test has no module floppy", refusal.getMessage());
  }

  @Test
  void aModuleCutShortIsRefused() throws Exception {
    Path file = directory.resolve("drivers/virtio/virtio.ko");
    Files.write(file, java.util.Arrays.copyOf(Files.readAllBytes(file), 100));

    var refusal =
        assertThrows(
            ImageException.class, () -> KernelModules.of(directory).closure(List.of("virtio")));

    assertTrue(String.valueOf(refusal.getMessage()).contains("virtio.ko"), refusal::getMessage);
  }

  private static List<String> names(List<KernelModules.Module> modules) {
    return modules.stream().map(KernelModules.Module::name).toList();
  }

  private void module(String path, String... modinfo) throws IOException {
    Path file = directory.resolve(path);
    Files.createDirectories(file.getParent());
    Files.write(file, elfWithModinfo("license=GPL\0" + String.join("\0", modinfo) + "\0"));
  }

  /** The least ELF file with a section .modinfo: a header, three section headers, two sections. */
  private static byte[] elfWithModinfo(String modinfo) {
    byte[] names = "\0.shstrtab\0.modinfo\0".getBytes(US_ASCII);
    byte[] content = modinfo.getBytes(US_ASCII);
    int headers = 64;
    int namesOffset = headers + 3 * 64;
    int contentOffset = namesOffset + names.length;
    ByteBuffer elf =
        ByteBuffer.allocate(contentOffset + content.length).order(ByteOrder.LITTLE_ENDIAN);
    elf.putInt(0, 0x464c457f).put(4, (byte) 2).put(5, (byte) 1);
    elf.putLong(0x28, headers).putShort(0x3a, (short) 64);
    elf.putShort(0x3c, (short) 3).putShort(0x3e, (short) 1);
    section(elf, headers + 64, 1, namesOffset, names.length);
    section(elf, headers + 128, 11, contentOffset, content.length);
    elf.put(namesOffset, names).put(contentOffset, content);
    return elf.array();
  }

  private static void section(ByteBuffer elf, int header, int name, int offset, int size) {
    elf.putInt(header, name).putLong(header + 0x18, offset).putLong(header + 0x20, size);
  }
}
