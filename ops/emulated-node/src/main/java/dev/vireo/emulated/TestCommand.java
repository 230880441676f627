package dev.vireo.emulated;

import static java.util.stream.Collectors.joining;

import dev.vireo.images.Commands;
import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import dev.vireo.images.SourceTree;
import dev.vireo.images.VireoCache;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Runs tests where there is a {@code /dev/kvm}: JUnit's console launcher in the outer machine, on
 * the classes that the build has left. It ends well if there is a report, whatever is in it.
 */
@Command(
    name = "test",
    description = "Run JUnit tests of a tag in the outer machine, and bring out their report.",
    mixinStandardHelpOptions = true)
final class TestCommand implements Callable<Integer> {
  private static final String REPORTS = "/tmp/reports";

  /** The directory of a job that stands for the source tree. */
  private static final String TREE = "tree";

  private static final List<String> JVM_FLAGS =
      List.of(
          "-Xmx512m",
          "-XX:+UseSerialGC",
          "-XX:TieredStopAtLevel=1",
          "-Djnr.ffi.x86asm.enabled=false",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow");

  private static final List<String> LAUNCHER_OPTIONS =
      List.of(
          "--disable-banner",
          "--disable-ansi-colors",
          "--details=testfeed",
          "--reports-dir=" + REPORTS);

  @Option(names = "--tag", required = true, paramLabel = "TAG", description = "Of the tests.")
  private String tag = "";

  @Option(
      names = "--module",
      required = true,
      paramLabel = "DIR",
      description = "That has such tests, from the top of the source tree. Repeatable.")
  private List<String> modules = List.of();

  @Option(
      names = "--select",
      paramLabel = "CLASS",
      description = "Only the tests of this class. Repeatable.")
  private List<String> classes = List.of();

  @Option(
      names = "--file",
      paramLabel = "FILE",
      description = "Of the source tree, that tests need there. Repeatable.")
  private List<String> files = List.of();

  @Option(
      names = "--program",
      paramLabel = "NAME",
      description = "Of this host, that tests run. Repeatable.")
  private List<String> programs = List.of();

  @Option(
      names = "--property",
      paramLabel = "NAME=VALUE",
      description = "A system property of the tests. Repeatable.")
  private Map<String, String> properties = Map.of();

  @Option(
      names = "--report",
      required = true,
      paramLabel = "FILE",
      description = "Where the report goes, in JUnit's XML.")
  private Path report = Path.of("");

  @Option(
      names = "--test-timeout",
      paramLabel = "SECONDS",
      description = "Of each test that has none of its own. Default: ${DEFAULT-VALUE}.")
  private int testTimeoutSeconds = 480;

  @Option(
      names = "--patience",
      paramLabel = "FACTOR",
      description = "How many times as long as elsewhere tests wait. Default: ${DEFAULT-VALUE}.")
  private int patience = 4;

  @Option(names = "--memory", paramLabel = "MIB", description = "Default: ${DEFAULT-VALUE}.")
  private int memoryMib = 3072;

  @Option(names = "--timeout", paramLabel = "SECONDS", description = "Default: ${DEFAULT-VALUE}.")
  private int timeoutSeconds = 1800;

  @Mixin private Main.ArchitectureOption arch = new Main.ArchitectureOption();

  @Override
  public Integer call() throws Exception {
    Path tree = SourceTree.ofEnvironment();
    TestClassPath classPath = TestClassPath.of(modules.stream().map(tree::resolve).toList());
    OuterImage image = Main.outerImage(arch.architecture(), Main.progress());
    try (var state =
        OwnedDirectory.scratch(VireoCache.ofEnvironment().resolve("emulated-node/runs"))) {
      Path disk = state.path().resolve("job.ext4");
      stage(classPath, tree, state.path().resolve("job"));
      JobDisk.make(state.path().resolve("job"), disk, Commands.ofHost());
      String text =
          run(image, new OuterMachine.Job(disk, script(classPath), memoryMib), state.path());
      Files.createDirectories(report.toAbsolutePath().getParent());
      Files.writeString(report, named(text));
    }
    return 0;
  }

  /** JUnit names the suite after itself; the tier in parentheses is as Surefire has it. */
  private String named(String text) {
    return text.replaceFirst("(<testsuite name=)\"[^\"]*\"", "$1\"emulated node (" + tag + ")\"");
  }

  private void stage(TestClassPath classPath, Path tree, Path job)
      throws IOException, ImageException {
    classPath.addTo(job);
    for (String file : files) {
      FileTrees.copy(tree.resolve(file), job.resolve(TREE).resolve(file));
    }
    for (String program : programs) {
      new HostProgram(program, Commands.ofHost()).addTo(job);
    }
  }

  private String script(TestClassPath classPath) {
    return """
    export PATH=%s:$PATH
    java %s -cp '%s' org.junit.platform.console.ConsoleLauncher execute %s
    echo '%s'
    gzip -c %s/TEST-junit-jupiter.xml | base64
    """
        .formatted(
            HostProgram.DIRECTORY,
            quoted(jvmOptions()),
            classPath.inJob(),
            quoted(launcherOptions(classPath)),
            TestOutput.MARK,
            REPORTS);
  }

  private List<String> jvmOptions() {
    List<String> options = new ArrayList<>(JVM_FLAGS);
    options.add("-Dvireo.root=/job/" + TREE);
    options.add("-Dvireo.test.patience=" + patience);
    properties.forEach((name, value) -> options.add("-D" + name + "=" + value));
    return options;
  }

  private List<String> launcherOptions(TestClassPath classPath) {
    List<String> options = new ArrayList<>(LAUNCHER_OPTIONS);
    options.add("--include-tag=" + tag);
    options.add(
        "--config=junit.jupiter.execution.timeout.testable.method.default="
            + testTimeoutSeconds
            + " s");
    if (classes.isEmpty()) {
      options.add("--scan-class-path=" + classPath.testClassesInJob());
    }
    classes.forEach(name -> options.add("--select-class=" + name));
    return options;
  }

  /** As the outer machine's shell takes them. */
  private static String quoted(List<String> words) {
    return words.stream().map(word -> "'" + word + "'").collect(joining(" "));
  }

  @SuppressWarnings("SystemOut") // What is said of the tests is what this is called for.
  private String run(OuterImage image, OuterMachine.Job job, Path state)
      throws IOException, ImageException, InterruptedException, EmulatedNodeException {
    TestOutput output = new TestOutput(System.out);
    var _ = new SingleJob(image, job, timeoutSeconds, null).run(state, output::readFrom);
    return output.report();
  }
}
