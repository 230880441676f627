package dev.vireo.images;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.util.stream.Collectors.joining;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** The archive is, byte for byte, what the kernel's documentation of newc says. */
class InitramfsTest {
  @Test
  void anArchiveHoldsDirectoriesFilesLinksAndDevices() throws Exception {
    Initramfs initramfs =
        new Initramfs()
            .file("init", 0755, "#!/x\n".getBytes(US_ASCII))
            .link("bin/sh", "busybox")
            .characterDevice("dev/console", 5, 1);

    String golden =
        // Header and name are padded to four bytes together, the content by itself.
        header(1, 0040755, 2, 0, 0, 0, 4)
            + "bin\0"
            + "\0\0"
            + header(2, 0120777, 1, 7, 0, 0, 7)
            + "bin/sh\0"
            + "\0\0\0"
            + "busybox"
            + "\0"
            + header(3, 0040755, 2, 0, 0, 0, 4)
            + "dev\0"
            + "\0\0"
            + header(4, 0020600, 1, 0, 5, 1, 12)
            + "dev/console\0"
            + "\0\0"
            + header(5, 0100755, 1, 5, 0, 0, 5)
            + "init\0"
            + "\0"
            + "#!/x\n"
            + "\0\0\0"
            + header(0, 0, 1, 0, 0, 0, 11)
            + "TRAILER!!!\0"
            + "\0\0\0";

    byte[] archive = bytes(initramfs);
    assertEquals(golden, new String(archive, US_ASCII).substring(0, golden.length()));
    assertEquals(0, archive.length % 512, "whole blocks");
  }

  @Test
  void theOrderOfAddingMakesNoDifference() throws Exception {
    Initramfs one = new Initramfs().directory("a").link("b", "a").file("c/d", 0600, new byte[] {1});
    Initramfs other =
        new Initramfs().file("/c/d", 0600, new byte[] {1}).link("/b", "a").directory("/a/");

    assertArrayEquals(bytes(one), bytes(other));
  }

  private static String header(
      int inode, int mode, int links, int size, int major, int minor, int nameSize) {
    int[] fields = {
      inode, mode, /* uid */ 0, /* gid */ 0, links, /* mtime */ 0, size, 0, 0, major, minor,
      nameSize, /* check */ 0
    };
    return "070701" + Arrays.stream(fields).mapToObj("%08x"::formatted).collect(joining());
  }

  private static byte[] bytes(Initramfs initramfs) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    initramfs.writeTo(out);
    return out.toByteArray();
  }
}
