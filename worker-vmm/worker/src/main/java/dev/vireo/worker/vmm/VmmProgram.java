package dev.vireo.worker.vmm;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What to execute for a VMM process.
 *
 * @param executable absolute path
 * @param arguments of each kind, without the program's name
 * @param environment all of it
 * @param home its working directory; also tells one build from another
 * @param rehearses whether it warms up with KVM, if it gets that as descriptor 4, before it answers
 */
public record VmmProgram(
    Path executable,
    Map<VmmKind, List<String>> arguments,
    Map<String, String> environment,
    Path home,
    boolean rehearses) {
  private static final String REHEARSE_WITH_DESCRIPTOR_4 = "--rehearse=4";

  /** A program that does not rehearse, and is the same for each kind. */
  public VmmProgram(
      Path executable, List<String> arguments, Map<String, String> environment, Path home) {
    this(
        executable,
        Map.of(VmmKind.LEAN, arguments, VmmKind.FAST, arguments),
        environment,
        home,
        false);
  }

  /** The arguments of a kind. */
  List<String> arguments(VmmKind kind) {
    return Objects.requireNonNull(arguments.get(kind));
  }

  /** The arguments with descriptor 4 being KVM. */
  List<String> rehearsalArguments(VmmKind kind) {
    List<String> all = new ArrayList<>(arguments(kind));
    all.add(REHEARSE_WITH_DESCRIPTOR_4);
    return all;
  }

  /** The VMM as its module builds it: a runtime of its own and argument files. */
  public static VmmProgram of(Path home) {
    Path absolute = home.toAbsolutePath().normalize();
    return new VmmProgram(
        absolute.resolve("runtime/bin/java"),
        Map.of(
            VmmKind.LEAN,
            List.of(VmmKind.LEAN.arguments()),
            VmmKind.FAST,
            List.of(VmmKind.FAST.arguments())),
        // One malloc arena: each costs a VMM about a MiB.
        Map.of("MALLOC_ARENA_MAX", "1"),
        absolute,
        true);
  }
}
