package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
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
    "list --colour=red, there is no option '--colour=red'",
    "prune --all=yes, there is no option '--all=yes'",
    "list --output=xml, '-o takes table or json, not ''xml'''",
    "prune --keep-free=much, '--keep-free takes a size such as 500M or 2G, not ''much'''",
    "build debian-12 --arch=vax, there is no architecture 'vax'",
    "list -o xml, '-o takes table or json, not ''xml'''",
    "build, build takes the name of an image",
    "rm, rm takes names of container images",
    "prune all, prune takes no names",
    "prune --keep-free much, '--keep-free takes a size such as 500M or 2G, not ''much'''",
    "prune --keep-free 99999999T, '--keep-free takes a size such as 500M or 2G, not ''99999999T'''",
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

    assertEquals(0, run(list("-o", "json")));

    assertEquals(
        """
        {"images": [
          {"name": "bare", "architecture": "x86_64", "guestKind": "bare-metal", "announcements": ["cmdline"], "minMemoryMib": 16}
        ], "containerImages": [
         \s
        ]}
        """,
        out.toString(StandardCharsets.UTF_8));
  }

  @Test
  void anOptionAndItsValueMayBeOneWord() {
    assertEquals(
        0, run(Stream.of("list", "--dir=" + store, "--container-dir=" + containers(), "-o=json")));

    assertTrue(out.toString(StandardCharsets.UTF_8).startsWith("{\"images\""));
  }

  @Test
  void listsTheStoreAsATable() throws IOException {
    addImage("bare");

    assertEquals(0, run(list()));

    assertEquals(
        """
        NAME             ARCHITECTURE KIND       ANNOUNCEMENTS  MIN MIB
        bare             x86_64       bare-metal cmdline        16
        """,
        out.toString(StandardCharsets.UTF_8));
  }

  @Test
  void containerImagesAreListedAndRemoved() throws Exception {
    ContainerImageCache cache = ContainerImageCache.of(containers());
    ImageId id = new ImageId("0".repeat(64));
    var _ =
        cache.obtain(
            id,
            building -> {
              Files.write(building.resolve(ContainerImage.ROOT_FILE), new byte[3 << 20]);
              return new ContainerImage.Settings(
                  Architecture.ARM64,
                  List.of(),
                  List.of(),
                  List.of(),
                  "",
                  "",
                  List.of(),
                  "",
                  Optional.empty());
            });
    cache.name(ImageName.parse("x"), id);
    Files.setLastModifiedTime(
        containers().resolve("sha256-" + id.hex()), FileTime.from(Instant.EPOCH));

    assertEquals(0, run(list()));
    assertEquals(0, run(list("-o", "json")));
    assertEquals(0, run(Stream.of("rm", "x:latest", "--container-dir", containers().toString())));
    assertEquals(1, run(Stream.of("rm", "x", "--container-dir", containers().toString())));

    assertEquals(
        """
        NAME             ARCHITECTURE KIND       ANNOUNCEMENTS  MIN MIB

        CONTAINER IMAGE                              ARCHITECTURE ID                 ROOT  LAST USE             IN USE
        docker.io/library/x:latest                   arm64        000000000000    3.0 MiB  1970-01-01T00:00:00Z no
        {"images": [
         \s
        ], "containerImages": [
          {"id": "sha256:%s", "names": ["docker.io/library/x:latest"], "architecture": "arm64", "rootBytes": 3145728, "lastUse": "1970-01-01T00:00:00Z", "inUse": false}
        ]}
        x:latest
        """
            .formatted("0".repeat(64)),
        out.toString(StandardCharsets.UTF_8));
    assertEquals(
        "error: there is no container image docker.io/library/x:latest here; vireo image list tells"
            + " what there is\n",
        err.toString(StandardCharsets.UTF_8));
  }

  @Test
  void pruneTellsThatItCannotKeepSoMuchFree() throws Exception {
    ContainerImageCache cache = ContainerImageCache.of(containers());
    cache.name(ImageName.parse("x"), new ImageId("0".repeat(64)));

    assertEquals(
        1,
        run(
            Stream.of(
                "prune", "--keep-free", "1000T", "--container-dir", containers().toString())));

    String message = err.toString(StandardCharsets.UTF_8);
    assertTrue(
        message.endsWith(" are free, not 1000.0 TiB: what is left of images is in use\n"), message);
  }

  private Stream<String> list(String... arguments) {
    return Stream.concat(
        Stream.of("list", "--dir", store.toString(), "--container-dir", containers().toString()),
        Stream.of(arguments));
  }

  private Path containers() {
    return store.resolve(".containers");
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
