package dev.vireo.worker.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
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

  @Test
  void cpuTimeIsThatOfUserAndKernel() {
    String stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 9000 9000 20 0 1 0 77 8 9";

    assertEquals(Duration.ofMillis(1_750), ProcFiles.cpuTime(stat));
  }

  @Test
  void aProcessThatIsGoneHasHadNone() {
    assertTrue(ProcFiles.cpuTime((int) ProcessHandle.current().pid()).isPresent());
    assertEquals(Optional.empty(), ProcFiles.cpuTime(Integer.MAX_VALUE));
  }
}
