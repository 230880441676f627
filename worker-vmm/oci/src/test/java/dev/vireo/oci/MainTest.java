package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageName;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The command line: what it prints, and what it ends with. */
class MainTest {
  @TempDir private Path directory = Path.of("");

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final TestImage image = TestImage.of(new Tar().file("f", "content"));

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "push x | pull takes one image",
        "pull | pull takes one image",
        "pull a b | pull takes one image",
        "pull x --arch | --arch needs a value",
        "pull x --arch=vax | there is no architecture 'vax'",
        "pull x --progress red | --progress takes auto, json or none, not 'red'",
        "pull x --colour red | there is no option '--colour'",
        "pull x --registry=yes | there is no option '--registry=yes'",
        "pull x --as busybox | --as: busybox is the name of Vireo's own image",
      })
  void saysWhatIsWrongWithACommandLine(String line, String problem) {
    assertEquals(2, Main.run(List.of(line.split(" ")), stream(out), stream(err), false));

    assertEquals(
        "error: %s\n  remedy: see vireo image pull --help\n".formatted(problem),
        err.toString(UTF_8));
  }

  @Test
  void printsTheImagesIdAndGivesItAName() throws Exception {
    assertEquals(0, pull("--as", "example.org/x"));

    assertEquals(image.id() + "\n", out.toString(UTF_8));
    assertEquals("", err.toString(UTF_8));
    assertEquals(
        image.id(),
        ContainerImageCache.of(directory.resolve("cache"))
            .find(ImageName.parse("example.org/x:latest"))
            .orElseThrow()
            .id()
            .toString());
  }

  @Test
  void wantsANameIfThereIsNone() throws Exception {
    assertEquals(1, pull());

    assertTrue(
        err.toString(UTF_8)
            .endsWith("gives its image no name that it can have here: give it one by --as NAME\n"),
        () -> err.toString(UTF_8));
  }

  @ParameterizedTest
  @ValueSource(strings = {"busybox", "No:Name"})
  void aNameThatCannotBeHadIsGivenByTheCaller(String tag) throws Exception {
    Path saved = TestImage.writeTar(directory.resolve("saved.tar"), image.dockerArchive(tag));

    assertEquals(1, pullFrom("docker-archive:" + saved));
    assertEquals(
        "error: docker-archive:%s gives its image no name that it can have here: give it one by --as NAME\n"
            .formatted(saved),
        err.toString(UTF_8));
    assertEquals(0, pullFrom("docker-archive:" + saved, "--as", "x:1"));
    assertEquals(image.id() + "\n", out.toString(UTF_8));
  }

  @Test
  void anImageInARegistryMayHaveTheNameOfAKindOfFile() {
    assertEquals(
        1, Main.run(List.of("pull", "--registry", "oci:a/b"), stream(out), stream(err), false));
    assertEquals(
        "error: \"oci:a/b\" is no name of an image: the registry \"oci:a\" must be a host, with"
            + " :PORT if need be\n",
        err.toString(UTF_8));
  }

  @Test
  void tellsAProgramHowFarItIs() throws Exception {
    assertEquals(0, pull("--as", "x", "--progress", "json"));

    List<String> lines = out.toString(UTF_8).lines().toList();
    assertTrue(lines.getFirst().contains("\"phase\":\"read\""), lines::toString);
    assertEquals(
        "{\"image\":\"%s\",\"name\":\"docker.io/library/x:latest\",\"root\":\"%s\",\"rootBytes\":4096}"
            .formatted(
                image.id(),
                directory.resolve("cache/" + image.id().replace(':', '-') + "/root.squashfs")),
        lines.getLast());
  }

  @Test
  void tellsAProgramWhyItFailed() throws Exception {
    image.spoil(0, content -> new byte[content.length]);

    assertEquals(1, pull("--as", "x", "--progress", "json"));

    String last = out.toString(UTF_8).lines().toList().getLast();
    assertTrue(last.startsWith("{\"error\":{"), last);
    assertTrue(last.contains("\"reason\":\"DIGEST_MISMATCH\""), last);
    assertEquals("", err.toString(UTF_8));
  }

  private int pull(String... more) throws Exception {
    TestImage.writeDirectory(directory.resolve("layout"), image.layout(Map.of()));
    return pullFrom("oci:" + directory.resolve("layout"), more);
  }

  private int pullFrom(String source, String... more) {
    List<String> words =
        new ArrayList<>(
            List.of(
                "pull",
                source,
                "--arch",
                "x86_64",
                "--container-dir",
                directory.resolve("cache").toString()));
    words.addAll(List.of(more));
    return Main.run(words, stream(out), stream(err), false);
  }

  private static PrintStream stream(ByteArrayOutputStream bytes) {
    return new PrintStream(bytes, true, UTF_8);
  }
}
