package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The launcher in a source tree of its own, with a JDK and a Maven that only note what they were
 * called with.
 */
class LauncherTest {
  private static final Path LAUNCHER = Path.of(System.getProperty("vireo.root", ""), "vireo");

  @TempDir private Path tree = Path.of("");

  private final Map<String, String> variables = new HashMap<>();

  /** What runs the launcher. */
  private final List<String> prefix = new ArrayList<>();

  @BeforeEach
  void plant() throws IOException {
    Files.copy(LAUNCHER, tree.resolve("vireo"), StandardCopyOption.COPY_ATTRIBUTES);
    for (String module : List.of("proto", "ops/cli")) {
      Files.createDirectories(tree.resolve(module).resolve("src/main"));
    }
    script("mvnw", "echo \"$@\" >>\"$(dirname \"$0\")/built\"; mkdir -p ops/cli/target");
    script(
        "jdk/bin/java",
        "cd \"$(dirname \"$0\")/../..\"; echo \"$@\" >>ran; echo \"$LC_ALL\" >>locale");
    script("jdk/bin/javac", "exit 1");
    Files.writeString(tree.resolve("jdk/release"), "JAVA_VERSION=\"25.0.1\"\n");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "doctor --help",
        "bench --help",
        "bench devices --help",
        "bench sandbox --help",
        "test -h",
        "image build --help",
        "image pull --help",
        "image load --help",
        "kernel build --help",
        "up --help",
        "demo --help",
        "node add --help",
        "help",
        "no-such-command"
      })
  void helpIsTheCommandLinesAndBuildsNothingElse(String line) throws Exception {
    assertEquals(0, run(line), this::output);

    assertTrue(lines("ran").getLast().endsWith(".jar " + line), () -> lines("ran").toString());
    assertEquals(1, lines("built").size(), () -> lines("built").toString());
    assertTrue(lines("built").getFirst().endsWith(" -pl ops/cli"), lines("built").getFirst());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "image load x.tar",
        "image list --nodes",
        "image list -o json --node=a",
        "image rm --node a x"
      })
  void imagesOfNodesAreTheCommandLines(String line) throws Exception {
    run(line);

    assertTrue(lines("ran").getLast().endsWith(".jar " + line), () -> lines("ran").toString());
    assertTrue(lines("built").getFirst().endsWith(" -pl ops/cli"), lines("built").getFirst());
  }

  @Test
  void whatIsBuiltIsBuiltOnce() throws Exception {
    run("list");
    run("list");

    assertEquals(1, lines("built").size());
  }

  @Test
  void everyCommandOfTheLauncherIsInHelpAndCompletion() throws IOException {
    List<String> commands =
        Pattern.compile("(?m)^  ([a-z]+)\\)$")
            .matcher(Files.readString(LAUNCHER))
            .results()
            .map((MatchResult label) -> label.group(1))
            .toList();

    assertTrue(commands.contains("doctor"), commands.toString());
    try (FakeController nobody = new FakeController()) {
      var known = Main.commandLine(new Cli(nobody).environment()).getSubcommands().keySet();
      assertTrue(known.containsAll(commands), known + " of " + commands);
    }
  }

  @ParameterizedTest
  @CsvSource({"POSIX, C.UTF-8", "C.UTF-8, C.UTF-8"})
  void wordsThatAreNotAsciiReachJavaAsTheyAre(String locale, String expected) throws Exception {
    variables.put("LC_ALL", locale);

    run("list");

    assertEquals(expected, lines("locale").getLast());
  }

  @Test
  void aTreeThatAnotherUserHasBuiltInIsToldOf() throws Exception {
    Files.createDirectory(tree.resolve(".launcher"));
    Files.setPosixFilePermissions(
        tree.resolve(".launcher"), PosixFilePermissions.fromString("r-xr-xr-x"));
    if (Environment.isRoot()) { // To whom everything is writable.
      Files.setPosixFilePermissions(tree, PosixFilePermissions.fromString("rwxr-xr-x"));
      prefix.addAll(List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"));
    }

    assertEquals(ExitCode.FAILED, run("list"));

    assertTrue(output().startsWith("error: " + tree), this::output);
    assertTrue(output().contains("remedy: sudo chown -R "), this::output);
  }

  @Test
  void refusesATierThatThereIsNot() throws Exception {
    assertEquals(ExitCode.USAGE, run("test kvm no-such-tier"));

    assertEquals(
        "error: there is no test tier 'no-such-tier'\n  remedy: see vireo test --help\n", output());
    assertTrue(lines("built").isEmpty());
  }

  @Test
  void interruptedItEndsWhatItHasBegun() throws Exception {
    // exec: the shell's process id stays Maven's.
    script("mvnw", "echo $$ >\"$(dirname \"$0\")/maven\"; exec sleep 600");
    Process launcher = start("list");
    Awaitility.await().until(() -> !lines("maven").isEmpty());
    long maven = Long.parseLong(lines("maven").getFirst());

    new ProcessBuilder("kill", "-INT", "--", "-" + launcher.pid()).start().waitFor();

    boolean ended = launcher.waitFor(10, TimeUnit.SECONDS);
    boolean mavenIsLeft = ProcessHandle.of(maven).map(ProcessHandle::destroyForcibly).isPresent();
    assertFalse(mavenIsLeft, "Maven is left");
    assertTrue(ended);
    assertEquals(ExitCode.INTERRUPTED, launcher.exitValue());
  }

  private int run(String line) throws Exception {
    return start(line).waitFor();
  }

  /** As a shell would: in a process group of its own, which Ctrl-C goes to. */
  private Process start(String line) throws IOException {
    // A build in the background ignores SIGINT, and what it starts would not hear of it either.
    List<String> command = new ArrayList<>(List.of("env", "--default-signal=INT", "setsid"));
    command.addAll(prefix);
    command.add(tree.resolve("vireo").toString());
    command.addAll(List.of(line.split(" ")));
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(tree.resolve("output").toFile());
    builder.environment().putAll(variables);
    builder.environment().put("JAVA_HOME", tree.resolve("jdk").toString());
    return builder.start();
  }

  private String output() {
    return String.join("\n", lines("output")) + "\n";
  }

  private List<String> lines(String file) {
    Path path = tree.resolve(file);
    try {
      return Files.exists(path) ? Files.readAllLines(path) : List.of();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void script(String name, String body) throws IOException {
    Path file = tree.resolve(name);
    Files.createDirectories(file.getParent());
    Files.writeString(file, "#!/bin/sh\n" + body + "\n");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
  }
}
