package dev.vireo.worker.vmm;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What to execute for a VMM process.
 *
 * @param executable absolute path
 * @param arguments without the program's name
 * @param environment all of it
 * @param home its working directory; also tells one build from another
 * @param rehearses whether it warms up with KVM, if it gets that as descriptor 4, before it answers
 */
public record VmmProgram(
    Path executable,
    List<String> arguments,
    Map<String, String> environment,
    Path home,
    boolean rehearses) {
  private static final String REHEARSE_WITH_DESCRIPTOR_4 = "--rehearse=4";

  /** A program that does not rehearse. */
  public VmmProgram(
      Path executable, List<String> arguments, Map<String, String> environment, Path home) {
    this(executable, arguments, environment, home, false);
  }

  /** The arguments with descriptor 4 being KVM. */
  List<String> rehearsalArguments() {
    List<String> all = new ArrayList<>(arguments);
    all.add(REHEARSE_WITH_DESCRIPTOR_4);
    return all;
  }

  /** The VMM as its module builds it: a runtime of its own and an argument file. */
  public static VmmProgram of(Path home) {
    Path absolute = home.toAbsolutePath().normalize();
    return new VmmProgram(
        absolute.resolve("runtime/bin/java"),
        List.of("@vmm.args"),
        // One malloc arena: each costs a VMM about a MiB.
        Map.of("MALLOC_ARENA_MAX", "1"),
        absolute,
        true);
  }
}
