package dev.vireo.worker.vmm;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * What to execute for a VMM process.
 *
 * @param executable absolute path
 * @param arguments without the program's name
 * @param environment all of it
 * @param home its working directory; also tells one build from another
 */
public record VmmProgram(
    Path executable, List<String> arguments, Map<String, String> environment, Path home) {

  /** The VMM as its module builds it: a runtime of its own and an argument file. */
  public static VmmProgram of(Path home) {
    Path absolute = home.toAbsolutePath().normalize();
    return new VmmProgram(
        absolute.resolve("runtime/bin/java"),
        List.of("@vmm.args"),
        // One malloc arena: each costs a VMM about a MiB.
        Map.of("MALLOC_ARENA_MAX", "1"),
        absolute);
  }
}
