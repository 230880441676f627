package dev.vireo.systemtests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What README.md shows in Java is taken by the compiler as it is there. */
class ReadmeTest {
  private static final Pattern JAVA =
      Pattern.compile("^```java\n(.*?)^```", Pattern.DOTALL | Pattern.MULTILINE);

  /** Of a method's lines: the program before them has the imports and the channel. */
  private static final String PROGRAM =
      """
      import dev.vireo.proto.v1.*;
      import io.grpc.ManagedChannel;

      class Lines {
        void run(ManagedChannel channel) throws Exception {
          LINES
        }
      }
      """;

  @Test
  void itsJavaCompiles(@TempDir Path classes) throws IOException {
    String readme = Files.readString(Path.of(System.getProperty("vireo.root"), "README.md"));
    List<String> programs = new ArrayList<>();
    for (Matcher block = JAVA.matcher(readme); block.find(); ) {
      String java = block.group(1);
      programs.add(java.contains("class ") ? java : PROGRAM.replace("LINES", java));
    }
    assertTrue(programs.size() >= 2, "the program, and what else there is");
    for (String program : programs) {
      assertEquals("", compile(program, classes), program);
    }
  }

  /** What the compiler has to say. */
  private static String compile(String program, Path classes) {
    Matcher name = Pattern.compile("class ([A-Za-z]+)").matcher(program);
    assertTrue(name.find());
    JavaFileObject source =
        new SimpleJavaFileObject(
            URI.create("string:///" + name.group(1) + ".java"), JavaFileObject.Kind.SOURCE) {
          @Override
          public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return program;
          }
        };
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter words = new StringWriter();
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    List<String> options = List.of("-proc:none", "-cp", classPath, "-d", classes.toString());
    boolean compiled = compiler.getTask(words, null, null, options, null, List.of(source)).call();
    return compiled ? "" : words.toString();
  }
}
