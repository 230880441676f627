package dev.vireo.vmm.virtio;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.sun.source.tree.AnnotationTree;
import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;

/** That CONFORMANCE.md, beside the code, says what is so: each case is held by tests that exist. */
class ConformanceTest {
  private static final Path ROOT = Path.of(System.getProperty("vireo.root"));
  private static final Path PAGE =
      ROOT.resolve("worker-vmm/vmm/src/main/java/dev/vireo/vmm/virtio/CONFORMANCE.md");
  private static final List<Path> TESTS =
      List.of(
          ROOT.resolve("worker-vmm/vmm/src/test/java"),
          ROOT.resolve("device-catalog/src/test/java"));

  private static final int REGISTER_CASES = 11;
  private static final int RING_CASES = 9;
  private static final int NETWORK_CASES = 3;
  private static final int VSOCK_CASES = 5;
  private static final int DISK_CASES = 6;
  private static final int BALLOON_CASES = 5;
  private static final int PLUGGED_MEMORY_CASES = 9;

  /** Case, what it is, section, tests, and four other VMMs. */
  private static final int CELLS = 8;

  private static final int CELLS_WITHOUT_OTHERS = 4;

  private static final Pattern CASE = Pattern.compile("([RQNVBMP]\\d+)([a-z]?)");
  private static final Path ATTACKS = ROOT.resolve("ops/guest/probe/src/hostile.c");
  private static final Pattern ATTACK = Pattern.compile("(?m)^ +ATTACK\\((\\w+)\\),");
  private static final Pattern PROGRAM = Pattern.compile("`hostile-(\\w+)`");
  private static final Pattern TEST = Pattern.compile("`((\\w+)\\.[\\w.]+)`");

  private record Row(String id, List<String> cells) {
    List<MatchResult> tests() {
      return TEST.matcher(cells.get(3)).results().toList();
    }
  }

  private static List<Row> rows() throws IOException {
    List<Row> rows = new ArrayList<>();
    for (String line : Files.readAllLines(PAGE)) {
      if (line.matches("\\| [RQNVBMP]\\d.*")) {
        List<String> cells =
            Stream.of(line.substring(1, line.lastIndexOf('|')).split("\\|", -1))
                .map(String::strip)
                .toList();
        rows.add(new Row(cells.getFirst(), cells));
      }
    }
    return rows;
  }

  @Test
  void everyCaseIsThere() throws IOException {
    Map<String, StringBuilder> parts = new HashMap<>();
    for (Row row : rows()) {
      var id = CASE.matcher(row.id);
      assertEquals(true, id.matches(), row.id);
      parts.computeIfAbsent(id.group(1), key -> new StringBuilder()).append(id.group(2));
    }
    Set<String> expected =
        Stream.of(
                IntStream.rangeClosed(1, REGISTER_CASES).mapToObj(n -> "R" + n),
                IntStream.rangeClosed(1, RING_CASES).mapToObj(n -> "Q" + n),
                IntStream.rangeClosed(1, NETWORK_CASES).mapToObj(n -> "N" + n),
                IntStream.rangeClosed(1, VSOCK_CASES).mapToObj(n -> "V" + n),
                IntStream.rangeClosed(1, DISK_CASES).mapToObj(n -> "B" + n),
                IntStream.rangeClosed(1, BALLOON_CASES).mapToObj(n -> "M" + n),
                IntStream.rangeClosed(1, PLUGGED_MEMORY_CASES).mapToObj(n -> "P" + n))
            .flatMap(cases -> cases)
            .collect(toSet());
    assertEquals(expected, parts.keySet());
    parts.forEach((id, letters) ->
        assertEquals("abcdefghi".substring(0, letters.length()), "" + letters, id));
  }

  @Test
  void everyCaseIsHeldByATestAndSaysWhatOthersDo() throws IOException {
    for (Row row : rows()) {
      boolean othersKnown = row.id.startsWith("R") || row.id.startsWith("Q");
      assertEquals(othersKnown ? CELLS : CELLS_WITHOUT_OTHERS, row.cells.size(), row.id);
      assertFalse(row.tests().isEmpty(), row.id + " has no test");
      for (String cell : row.cells) {
        assertFalse(cell.isEmpty(), row.id + " has an empty cell");
      }
    }
  }

  @Test
  void everyTestThatIsNamedExists() throws IOException {
    Set<String> classes = new TreeSet<>();
    Set<String> named = new TreeSet<>();
    for (Row row : rows()) {
      for (MatchResult test : row.tests()) {
        named.add(test.group(1));
        classes.add(test.group(2));
      }
    }
    named.removeAll(testMethods(classes));
    assertEquals(Set.of(), named, "named, but not there");
  }

  @Test
  void everyHostileProgramBelongsToACase() throws IOException {
    Set<String> named = new TreeSet<>();
    for (Row row : rows()) {
      PROGRAM.matcher(row.cells.get(3)).results().forEach(program -> named.add(program.group(1)));
    }
    Set<String> attacks = new TreeSet<>();
    ATTACK.matcher(Files.readString(ATTACKS)).results().forEach(one -> attacks.add(one.group(1)));
    assertEquals(attacks, named);
  }

  /** As {@code Class.method} or {@code Class.Nested.method}. */
  private static Set<String> testMethods(Set<String> classes) throws IOException {
    List<Path> sources = new ArrayList<>();
    for (Path tests : TESTS) {
      try (Stream<Path> files = Files.walk(tests)) {
        files.filter(file -> classes.contains(nameOf(file))).forEach(sources::add);
      }
    }
    Set<String> methods = new HashSet<>();
    JavaCompiler compiler = Objects.requireNonNull(ToolProvider.getSystemJavaCompiler());
    try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, UTF_8)) {
      var units = files.getJavaFileObjectsFromPaths(sources);
      JavacTask task = (JavacTask) compiler.getTask(null, files, null, null, null, units);
      for (CompilationUnitTree unit : task.parse()) {
        for (Tree type : unit.getTypeDecls()) {
          addTests((ClassTree) type, "", methods);
        }
      }
    }
    return methods;
  }

  private static String nameOf(Path source) {
    return source.getFileName().toString().replace(".java", "");
  }

  private static void addTests(ClassTree type, String outer, Set<String> methods) {
    String name = outer + type.getSimpleName() + ".";
    for (Tree member : type.getMembers()) {
      if (member instanceof ClassTree nested) {
        addTests(nested, name, methods);
      } else if (member instanceof MethodTree method && isTest(method)) {
        methods.add(name + method.getName());
      }
    }
  }

  private static boolean isTest(MethodTree method) {
    for (AnnotationTree annotation : method.getModifiers().getAnnotations()) {
      String name = annotation.getAnnotationType().toString();
      if (name.equals("Test") || name.equals("ParameterizedTest")) {
        return true;
      }
    }
    return false;
  }
}
