package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.GuestKernel.Built;
import dev.vireo.images.ImageException.Reason;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A kernel is compiled when source or configuration change, and is whole or not there. */
class GuestKernelTest {
  @TempDir private Path temporary = Path.of("");

  private final List<String> steps = new ArrayList<>();
  private final FakeHost host = new FakeHost();

  @BeforeEach
  void configure() throws IOException {
    config("common", "# Locks.\nCONFIG_FUTEX=y\n");
    config("x86_64", "CONFIG_64BIT=y\n");
    config("arm64", "CONFIG_NR_CPUS=64\n");
  }

  @Test
  void itIsCompiledOnce() throws Exception {
    Built built = kernel(Architecture.X86_64).build();
    var _ = kernel(Architecture.X86_64).build();

    assertEquals(List.of("vmlinux"), host.goals);
    assertEquals("linux-source-6.1 6.1.176-1", built.source());
    assertEquals("stripped", Files.readString(built.file()));
    assertTrue(built.isCurrent());
    assertTrue(steps.contains("compiled 200 files, now kernel/file200.o"), steps.toString());
    assertEquals(
        List.of(".fingerprint", "config", "kernel.properties", "vmlinux"), filesBeside(built));
  }

  @Test
  void anotherConfigurationIsAnotherKernel() throws Exception {
    var _ = kernel(Architecture.X86_64).build();
    config("x86_64", "CONFIG_64BIT=y\nCONFIG_PVH=y\n");

    assertFalse(kernel(Architecture.X86_64).find().orElseThrow().isCurrent());
    assertTrue(kernel(Architecture.X86_64).build().isCurrent());
    assertEquals(List.of("vmlinux", "vmlinux"), host.goals);
  }

  @Test
  void aNewerSourceIsAnotherKernel() throws Exception {
    var _ = kernel(Architecture.X86_64).build();
    host.version = "6.1.177-1";

    assertEquals("linux-source-6.1 6.1.177-1", kernel(Architecture.X86_64).build().source());
  }

  @Test
  void eachArchitectureHasItsOwn() throws Exception {
    Built x86 = kernel(Architecture.X86_64).build();
    Built arm = kernel(Architecture.ARM64).build();

    assertEquals("compiled", Files.readString(arm.file()));
    assertEquals("Image", String.valueOf(arm.file().getFileName()));
    assertTrue(Files.exists(x86.file()));
    assertEquals(List.of("vmlinux", "Image"), host.goals);
  }

  @Test
  void anOptionThatTheKernelsRulesDropIsNamed() throws Exception {
    host.dropped = "CONFIG_FUTEX=y";

    var refusal = assertThrows(ImageException.class, () -> kernel(Architecture.X86_64).build());

    assertEquals(Reason.TOOL_FAILED, refusal.reason());
    assertTrue(String.valueOf(refusal.getMessage()).contains("drop CONFIG_FUTEX=y:"));
    assertEquals(List.of(), host.goals);
  }

  @Test
  void aCompilerThatFailsLeavesNothing() throws Exception {
    host.compilerError = "kernel/fork.c:1: error: no";

    var refusal = assertThrows(ImageException.class, () -> kernel(Architecture.X86_64).build());

    assertTrue(String.valueOf(refusal.getMessage()).contains("kernel/fork.c:1: error: no"));
    assertTrue(kernel(Architecture.X86_64).find().isEmpty());
    try (Stream<Path> left = Files.list(temporary.resolve("cache/kernels"))) {
      assertEquals(List.of(".vireo-6.1-x86_64.lock"), left.map(GuestKernelTest::name).toList());
    }
  }

  @Test
  void aHeaderThatIsMissingIsNamedByItsPackageBeforeAnythingIsFetched() throws Exception {
    host.hasLibelf = false;

    var refusal = assertThrows(ImageException.class, () -> kernel(Architecture.X86_64).build());

    assertEquals(Reason.HOST_UNSUPPORTED, refusal.reason());
    assertTrue(String.valueOf(refusal.getMessage()).contains("apt-get install libelf-dev"));
    assertFalse(Files.exists(temporary.resolve("cache/packages")));
  }

  private GuestKernel kernel(Architecture architecture) {
    return GuestKernel.of(
        architecture, temporary.resolve("cache"), temporary.resolve("tree"), host, steps::add);
  }

  private void config(String name, String text) throws IOException {
    Path directory = temporary.resolve("tree/ops/guest/kernel");
    Files.createDirectories(directory);
    Files.writeString(directory.resolve(name + ".config"), text);
  }

  private static List<String> filesBeside(Built built) throws IOException {
    try (Stream<Path> files = Files.list(built.file().resolveSibling("."))) {
      return files.map(GuestKernelTest::name).sorted().toList();
    }
  }

  private static String name(Path file) {
    return String.valueOf(file.getFileName());
  }

  /** apt, dpkg-deb, tar, make and strip, as far as a kernel's build goes. */
  private static final class FakeHost implements Commands {
    private static final int FILES = 250;
    private static final Result NOTHING_TO_SAY = new Result(0, "", "");

    final List<String> goals = new ArrayList<>();
    String version = "6.1.176-1";
    String dropped = "";
    String compilerError = "";
    boolean hasLibelf = true;

    @Override
    public Result run(Path directory, List<String> command) {
      try {
        return switch (command.getFirst()) {
          case "apt-get" -> apt(directory, command);
          case "tar" -> tar(directory, command);
          case "setpriv" -> make(command);
          case "strip" -> strip(directory, command);
          case "gcc" -> new Result(hasLibelf || command.contains("--version") ? 0 : 1, "", "");
          default -> NOTHING_TO_SAY;
        };
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private Result apt(Path directory, List<String> command) throws IOException {
      String file = "linux-source-6.1_" + version + "_all.deb";
      if (command.contains("--print-uris")) {
        return new Result(0, "'http://mirror/x' %s 3 SHA256:0\n".formatted(file), "");
      }
      Files.writeString(directory.resolve(file), "deb");
      return NOTHING_TO_SAY;
    }

    private static Result tar(Path directory, List<String> command) throws IOException {
      if (!command.contains("--version")) {
        Path tree = Files.createDirectory(directory.resolve("linux-source-6.1"));
        Files.writeString(tree.resolve("Kconfig"), "mainmenu");
      }
      return NOTHING_TO_SAY;
    }

    private Result make(List<String> command) throws IOException {
      Path objects = Path.of(argument(command, "O="));
      String goal = command.getLast();
      if (goal.equals("allnoconfig")) {
        String wanted = Files.readString(Path.of(argument(command, "KCONFIG_ALLCONFIG=")));
        Files.writeString(objects.resolve(".config"), wanted.replace(dropped, ""));
        return NOTHING_TO_SAY;
      }
      goals.add(goal);
      if (!compilerError.isEmpty()) {
        return new Result(2, "", compilerError);
      }
      Path kernel = objects.resolve(goal.equals("vmlinux") ? goal : "arch/arm64/boot/" + goal);
      Files.createDirectories(kernel.resolveSibling("."));
      Files.writeString(kernel, "compiled");
      StringBuilder output = new StringBuilder("  HOSTCC  scripts/fixdep\n");
      for (int file = 1; file <= FILES; file++) {
        output.append("  CC      kernel/file%d.o\n".formatted(file));
      }
      return new Result(0, output.toString(), "");
    }

    private static Result strip(Path directory, List<String> command) throws IOException {
      assertEquals("compiled", Files.readString(Path.of(command.getLast())));
      Files.writeString(directory.resolve(command.get(2)), "stripped");
      return NOTHING_TO_SAY;
    }

    private static String argument(List<String> command, String key) {
      return command.stream()
          .filter(argument -> argument.startsWith(key))
          .findFirst()
          .orElseThrow()
          .substring(key.length());
    }
  }
}
