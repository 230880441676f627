package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.vireo.images.Architecture;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a VMM built on one architecture keeps for another, and what it cannot. */
class ForeignVmmTest {
  @TempDir Path directory;

  @Test
  void hasTheOtherArchitecturesJavaAndLibraryAndNoArchive() throws Exception {
    Path vmm = directory.resolve("vmm");
    Path worker = directory.resolve("worker");
    write(vmm.resolve("runtime/bin/java"), "x86");
    write(vmm.resolve("vmm.jsa"), "x86");
    write(vmm.resolve("native/libjffi-1.2.so"), "x86");
    write(vmm.resolve("lib/vireo-vmm.jar"), "classes");
    write(vmm.resolve("vmm.args"), "-Xmx8m\n-XX:SharedArchiveFile=vmm.jsa\n-jar\n");
    write(vmm.resolve("fast.args"), "-XX:SharedArchiveFile=vmm.jsa\n-jar\n");
    write(worker.resolve("lib/jffi-1.4.3.jar"), "classes");
    Path jar = worker.resolve("lib/jffi-1.4.3-native.jar");
    try (OutputStream file = Files.newOutputStream(jar);
        var zip = new ZipOutputStream(file)) {
      for (String platform : List.of("x86_64-Linux", "aarch64-Linux")) {
        zip.putNextEntry(new ZipEntry("jni/" + platform + "/libjffi-1.2.so"));
        zip.write(platform.getBytes(StandardCharsets.UTF_8));
      }
    }

    new ForeignVmm(vmm, Architecture.ARM64).adapt(worker);

    assertEquals(Path.of("/java"), Files.readSymbolicLink(vmm.resolve("runtime")));
    assertEquals("aarch64-Linux", Files.readString(vmm.resolve("native/libjffi-1.2.so")));
    assertEquals("-Xmx8m\n-jar\n", Files.readString(vmm.resolve("vmm.args")));
    assertEquals("-jar\n", Files.readString(vmm.resolve("fast.args")));
    assertFalse(Files.exists(vmm.resolve("vmm.jsa")));
    assertEquals("classes", Files.readString(vmm.resolve("lib/vireo-vmm.jar")));
  }

  private static void write(Path file, String content) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(file, content);
  }
}
