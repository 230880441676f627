package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Commands;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HostProgramTest {
  @TempDir private Path job;

  @Test
  void librariesAreThoseThatAreFoundAndTheLoader() {
    assertEquals(
        Set.of(
            Path.of("/lib/x86_64-linux-gnu/libmnl.so.0"), Path.of("/lib64/ld-linux-x86-64.so.2")),
        SharedLibraries.in(
            """
            /usr/sbin/ip:
            \tlinux-vdso.so.1 (0x00007fb1135c8000)
            \tlibmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007fb113442000)
            \tlibnone.so.1 => not found
            \t/lib64/ld-linux-x86-64.so.2 (0x00007fb1135ca000)
            """));
  }

  @Test
  void aProgramComesWithItsLibrariesAndAScriptThatStartsIt() throws Exception {
    new HostProgram("sh", Commands.ofHost()).addTo(job);

    Path start = job.resolve("bin/sh");
    assertTrue(Files.isExecutable(start));
    assertTrue(Files.isExecutable(job.resolve("programs/sh/sh")));
    for (String word : Files.readString(start).split("\\s", -1)) {
      if (word.startsWith("/job")) {
        Path there = job.resolve(Path.of("/job").relativize(Path.of(word)));
        assertTrue(Files.exists(there), word);
        assertFalse(Files.isSymbolicLink(there), word);
      }
    }
  }
}
