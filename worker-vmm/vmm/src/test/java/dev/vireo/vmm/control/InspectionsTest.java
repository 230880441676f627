package dev.vireo.vmm.control;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.vmm.v1.VmmCompiler;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InspectionsTest {
  private static final Path PACKAGING =
      Path.of(System.getProperty("vireo.root", ""), "worker-vmm/vmm/src/packaging/package.sh");

  @ParameterizedTest
  @CsvSource({"lean, VMM_COMPILER_LEAN", "fast, VMM_COMPILER_FAST"})
  void knowsTheCompilersThatArePackaged(String name, VmmCompiler compiler) throws IOException {
    assertEquals(compiler, Inspections.compiler(name));
    assertTrue(Files.readString(PACKAGING).contains("\n-Dvireo.compiler=" + name + "\n"));
  }

  @ParameterizedTest
  @CsvSource({"''", "C2"})
  void ofAnyOtherItSaysNothing(String name) {
    assertEquals(VmmCompiler.VMM_COMPILER_UNSPECIFIED, Inspections.compiler(name));
  }
}
