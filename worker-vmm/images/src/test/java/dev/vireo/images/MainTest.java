package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The command line: what it prints, and what it ends with. */
class MainTest {
  @TempDir private Path store = Path.of("");

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @ParameterizedTest
  @CsvSource({
    "'', a command is missing",
    "frobnicate, there is no command 'frobnicate'",
    "list --colour red, there is no option '--colour'",
    "list --dir, --dir needs a value",
    "list -o xml, '-o takes table or json, not ''xml'''",
    "build, build takes the name of an image",
    "build debian-12 --arch vax, there is no architecture 'vax'",
  })
  void saysWhatIsWrongWithACommandLine(String line, String problem) {
    assertEquals(2, run(Arrays.stream(line.split(" ")).filter(word -> !word.isEmpty())));
    assertEquals(
        "error: %s\n  remedy: see vireo image --help\n".formatted(problem),
        err.toString(StandardCharsets.UTF_8));
    assertEquals("", out.toString(StandardCharsets.UTF_8));
  }

  @ParameterizedTest
  @CsvSource({
    "kernel, kernel takes build or list",
    "kernel boot, there is no command 'kernel boot'",
  })
  void saysWhatIsWrongWithACommandLineOfKernels(String line, String problem) {
    assertEquals(2, run(Arrays.stream(line.split(" "))));
    assertEquals(
        "error: %s\n  remedy: see vireo kernel --help\n".formatted(problem),
        err.toString(StandardCharsets.UTF_8));
  }

  @Test
  void listsTheStoreAsJson() throws IOException {
    addImage("bare");

    assertEquals(0, run(Stream.of("list", "-o", "json", "--dir", store.toString())));

    assertEquals(
        """
        {"images": [
          {"name": "bare", "architecture": "x86_64", "guestKind": "bare-metal", "announcements": ["cmdline"], "minMemoryMib": 16}
        ]}
        """,
        out.toString(StandardCharsets.UTF_8));
  }

  @Test
  void listsTheStoreAsATable() throws IOException {
    addImage("bare");

    assertEquals(0, run(Stream.of("list", "--dir", store.toString())));

    assertEquals(
        """
        NAME             ARCHITECTURE KIND       ANNOUNCEMENTS  MIN MIB
        bare             x86_64       bare-metal cmdline        16
        """,
        out.toString(StandardCharsets.UTF_8));
  }

  private void addImage(String name) throws IOException {
    Path image = Files.createDirectory(store.resolve(name));
    Files.writeString(image.resolve("kernel.elf"), "a kernel");
    Files.writeString(
        image.resolve(GuestImage.PROPERTIES_FILE),
        """
        name=%s
        architecture=x86_64
        guest_kind=bare-metal
        announcements=cmdline
        min_memory_mib=16
        kernel=kernel.elf
        command_line=
        """
            .formatted(name));
  }

  private int run(Stream<String> arguments) {
    List<String> words = arguments.toList();
    return Main.run(words, stream(out), stream(err));
  }

  private static PrintStream stream(ByteArrayOutputStream bytes) {
    return new PrintStream(bytes, true, StandardCharsets.UTF_8);
  }
}
