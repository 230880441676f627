package dev.vireo.worker.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class ProcFilesTest {
  @Test
  void aProcessHasMemoryUntilItIsGone() throws Exception {
    assertTrue(ProcFiles.proportionalSetBytes((int) ProcessHandle.current().pid()).isPresent());

    Process gone = new ProcessBuilder("true").start();
    gone.waitFor();
    assertEquals(OptionalLong.empty(), ProcFiles.proportionalSetBytes((int) gone.pid()));
  }

  @Test
  void aFileThatOpensAndCannotBeReadIsAnIoException() {
    // As the smaps_rollup of a process that ends between the two. Nothing is mapped at address 0.
    assertThrows(IOException.class, () -> ProcFiles.field(Path.of("/proc/self/mem"), "Pss:"));
  }
}
