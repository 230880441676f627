package dev.vireo.emulated;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.images.Architecture;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NodeDiskTest {
  @TempDir private Path image;

  @Test
  void guestsOfAnX86NodeHaveATimerAtEachTick() throws Exception {
    Path properties = image.resolve("image.properties");
    Files.writeString(properties, "command_line=console=ttyS0 quiet\nkernel=vmlinuz\n");

    NodeDisk.addKernelArguments(
        properties, EmulatedMachine.of(Architecture.X86_64).guestKernelArguments());

    assertEquals(
        "command_line=console=ttyS0 quiet nohz=off\nkernel=vmlinuz\n",
        Files.readString(properties));
  }
}
