package dev.vireo.oci;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.DebianPackage;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Vireo's own image, of a package that the test makes. */
class BusyboxSourceTest {
  @TempDir private Path directory = Path.of("");

  @Test
  void aRootIsMadeOfThePackage() throws Exception {
    ContainerImage image = pull("one", deb("bin/busybox"));
    Squashed root = new Squashed(image.root());

    assertEquals("a program\n", root.text("bin/busybox"));
    List<String> files = root.description().lines().toList();
    for (String line :
        List.of(
            "file bin/busybox 0755 0 0",
            "slink bin/sh 0777 0 0 /bin/busybox",
            "slink usr/bin/[ 0777 0 0 /bin/busybox",
            "dir tmp 01777 0 0",
            "dir root 0700 0 0",
            "dir proc 0755 0 0")) {
      assertTrue(files.contains(line), () -> line + " is not in " + files);
    }
    assertEquals(List.of("sh"), image.settings().command());
    assertEquals(Architecture.ARM64, image.settings().architecture());
  }

  @Test
  void equalPackagesMakeEqualImages() throws Exception {
    ContainerImage one = pull("one", deb("bin/busybox"));
    ContainerImage two = pull("two", deb("bin/busybox"));

    assertEquals(one.id(), two.id());
    // Of another process too.
    assertEquals(
        "sha256:d245ab1c571271d95d861cf549b559ce4c01440772a05fbd817f08590294aebb",
        one.id().toString());
    assertArrayEquals(Files.readAllBytes(one.root()), Files.readAllBytes(two.root()));
  }

  @Test
  void aPackageWithoutTheProgramIsRefused() throws Exception {
    DebianPackage other = deb("usr/bin/busybox");

    ImageException refusal = assertThrows(ImageException.class, () -> pull("one", other));

    assertEquals(ImageException.Reason.PACKAGE_INVALID, refusal.reason());
    assertEquals("busybox-static 1.0 has no bin/busybox", refusal.getMessage());
  }

  private ContainerImage pull(String cache, DebianPackage busybox) throws Exception {
    BusyboxSource source = new BusyboxSource(architecture -> busybox);
    try (ContainerImageCache.Use use =
        new Pull(ContainerImageCache.of(directory.resolve(cache)), PullProgress.NONE)
            .run(source, source.resolve(Architecture.ARM64))) {
      return use.image();
    }
  }

  private DebianPackage deb(String program) throws Exception {
    Path tree = Files.createTempDirectory(directory, "deb");
    Path file = tree.resolve("root").resolve(program);
    Files.createDirectories(file.getParent());
    Files.writeString(file, "a program\n");
    Files.createDirectories(tree.resolve("root/DEBIAN"));
    Files.writeString(
        tree.resolve("root/DEBIAN/control"),
        """
        Package: busybox-static
        Version: 1.0
        Architecture: all
        Maintainer: a test <test@localhost>
        Description: a test
        """);
    Path deb = tree.resolve("busybox-static_1.0_all.deb");
    assertEquals(
        0,
        new ProcessBuilder("dpkg-deb", "--build", tree.resolve("root").toString(), deb.toString())
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start()
            .waitFor());
    return new DebianPackage("busybox-static", "1.0", deb);
  }
}
