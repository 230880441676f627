package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.FileEntry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files into guests and out of them, of which the latter may say anything. */
final class CopyCommandTest {
  private static final Timestamp TIME = Timestamp.newBuilder().setSeconds(1_000_000_000).build();

  @TempDir private Path directory;

  private final FakeController controller = new FakeController();
  private final FakeGuest guest = controller.guest;
  private final Cli cli = new Cli(controller);

  /** What nothing may be written to. */
  private Path outside;

  private Path here;

  @BeforeEach
  void prepare() throws IOException {
    outside = Files.createDirectory(directory.resolve("outside"));
    here = Files.createDirectory(directory.resolve("here"));
  }

  @AfterEach
  void close() throws IOException {
    controller.close();
    try (Stream<Path> files = Files.list(outside)) {
      assertEquals(List.of(), files.toList(), "something was written outside of the destination");
    }
  }

  // ---- out

  private static CopyOutResponse of(FileEntry.Builder entry) {
    return CopyOutResponse.newBuilder().setEntry(entry.setModificationTime(TIME)).build();
  }

  private static CopyOutResponse folder(String path) {
    return of(FileEntry.newBuilder().setType(FileEntry.Type.DIRECTORY).setPath(path).setMode(0755));
  }

  private static CopyOutResponse link(String path, String target) {
    return of(
        FileEntry.newBuilder()
            .setType(FileEntry.Type.SYMBOLIC_LINK)
            .setPath(path)
            .setLinkTarget(target));
  }

  private static List<CopyOutResponse> file(String path, String content) {
    return List.of(
        of(
            FileEntry.newBuilder()
                .setType(FileEntry.Type.REGULAR)
                .setPath(path)
                .setMode(0_4751)
                .setSize(content.length())),
        CopyOutResponse.newBuilder().setData(ByteString.copyFromUtf8(content)).build());
  }

  @SafeVarargs
  private void inGuest(String path, List<CopyOutResponse>... responses) {
    List<CopyOutResponse> all = new ArrayList<>();
    for (List<CopyOutResponse> part : responses) {
      all.addAll(part);
    }
    guest.files.put(path, all);
  }

  private void treeInGuest() {
    inGuest(
        "/d",
        List.of(folder(""), folder("sub")),
        file("sub/a", "hello"),
        List.of(link("l", "/etc/passwd")));
  }

  private int out(String source, Path destination) {
    return cli.run("cp", "vm:" + source, destination.toString());
  }

  private static void assertContent(String content, Path file) throws IOException {
    assertEquals(content, Files.readString(file));
  }

  @Test
  void aFileGetsTheDestinationsNameOrItsOwnInADirectory() throws IOException {
    inGuest("/x/f", file("", "hello"));

    assertEquals(0, out("/x/f", here.resolve("g")), cli::err);
    assertContent("hello", here.resolve("g"));
    assertEquals(0, out("/x/f", here.resolve("g")), cli::err);
    assertEquals(0, out("/x/f", here), cli::err);
    assertContent("hello", here.resolve("f"));
    assertEquals(
        "rwxr-x--x",
        PosixFilePermissions.toString(Files.getPosixFilePermissions(here.resolve("f"))));
    assertEquals(
        FileTime.from(Instant.ofEpochSecond(TIME.getSeconds())),
        Files.getLastModifiedTime(here.resolve("f")));
    assertEquals(0, 04000 & (int) Files.getAttribute(here.resolve("f"), "unix:mode"));
    try (Stream<Path> files = Files.list(here)) {
      assertEquals(2, files.count(), "nothing else is left");
    }
  }

  @Test
  void aDirectoryGetsTheDestinationsNameOrItsOwnOrNone() throws IOException {
    treeInGuest();
    guest.files.put("/d/.", guest.files.get("/d"));

    assertEquals(0, out("/d", here.resolve("new")), cli::err);
    assertContent("hello", here.resolve("new/sub/a"));
    assertEquals(0, out("/d", here.resolve("new")), cli::err);
    assertContent("hello", here.resolve("new/d/sub/a"));
    assertEquals(0, out("/d/.", here), cli::err);
    assertContent("hello", here.resolve("sub/a"));
    assertEquals(Path.of("/etc/passwd"), Files.readSymbolicLink(here.resolve("l")));
    assertEquals(0, out("/d/.", here), cli::err);
  }

  @Test
  void whatCannotBeIsRefused() throws IOException {
    treeInGuest();
    inGuest("/f", file("", "x"));
    Path file = Files.writeString(here.resolve("file"), "mine");

    assertEquals(ExitCode.FAILED, out("/d", file));
    assertEquals(ExitCode.FAILED, cli.run("cp", "vm:/f", here.resolve("none").toString() + "/"));
    assertEquals(ExitCode.FAILED, out("/f", here.resolve("none/f")));
    assertEquals(ExitCode.REFUSED, out("/missing", here));
    assertTrue(cli.err().contains("GUEST_NOT_FOUND"), cli.err());
    assertContent("mine", file);
  }

  @Test
  void nothingIsWrittenThroughALinkOfTheGuests() {
    inGuest("/d", List.of(folder(""), link("evil", outside.toString())), file("evil/a", "written"));
    assertEquals(ExitCode.FAILED, out("/d", here.resolve("d")));

    inGuest(
        "/d",
        List.of(folder(""), link("evil", outside.toString()), folder("evil")),
        file("evil/a", "written"));
    assertEquals(ExitCode.FAILED, out("/d", here.resolve("e")), "a link and a directory of a name");
    assertFalse(Files.isSymbolicLink(here.resolve("e/evil")));

    inGuest("/d", List.of(link("", outside.toString())), file("a", "written"));
    assertEquals(ExitCode.FAILED, out("/d", here.resolve("f")));
  }

  @Test
  void nothingIsWrittenThroughALinkThatWasThere() throws IOException {
    Files.createDirectory(here.resolve("d"));
    Files.createSymbolicLink(here.resolve("d/dir"), outside);
    Files.createSymbolicLink(here.resolve("d/file"), outside.resolve("file"));
    inGuest("/d/.", List.of(folder("")), file("dir/a", "written"));
    assertEquals(ExitCode.FAILED, out("/d/.", here.resolve("d")));

    inGuest("/d/.", List.of(folder(""), folder("dir")), file("dir/a", "written"));
    assertEquals(ExitCode.FAILED, out("/d/.", here.resolve("d")));

    inGuest("/d/.", List.of(folder("")), file("file", "written"));
    assertEquals(0, out("/d/.", here.resolve("d")), cli::err);
    assertFalse(Files.isSymbolicLink(here.resolve("d/file")), "it was replaced, not followed");
  }

  @Test
  void aLinkOfTheNameThatACopyGetsIsNotFollowed() throws IOException {
    Files.createSymbolicLink(here.resolve("d"), outside);
    treeInGuest();
    assertEquals(ExitCode.FAILED, out("/d", here), "an earlier copy may have made it");
  }

  @Test
  void aDestinationOfTheUsersMayBeALinkItself() throws IOException {
    Path real = Files.createDirectory(directory.resolve("real"));
    Path mine = Files.createSymbolicLink(here.resolve("mine"), real);
    treeInGuest();
    guest.files.put("/d/.", guest.files.get("/d"));

    assertEquals(0, out("/d/.", mine), cli::err);
    assertContent("hello", real.resolve("sub/a"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"../outside/a", "/etc/x", "a/../../outside/b", "a//b", "./a", "."})
  void pathsThatLeadElsewhereAreNotFollowed(String path) {
    inGuest("/d", List.of(folder("")), file(path, "written"));
    assertEquals(ExitCode.FAILED, out("/d", here.resolve("d")));
  }

  @Test
  void lessOrMoreThanAFileHasIsNoFile() throws IOException {
    for (List<CopyOutResponse> wrong :
        List.of(
            file("", "hello").subList(0, 1),
            Stream.concat(file("", "hello").stream(), file("", "x").stream().skip(1)).toList())) {
      inGuest("/f", wrong);
      assertEquals(ExitCode.FAILED, out("/f", here.resolve("f")));
      try (Stream<Path> files = Files.list(here)) {
        assertEquals(0, files.count(), "nothing of it is left");
      }
    }
  }

  @Test
  void aFileIsNotReplacedByALinkOfTheGuests() throws IOException {
    Path file = Files.writeString(here.resolve("f"), "mine");
    inGuest("/f", List.of(link("", outside.toString())));

    assertEquals(ExitCode.FAILED, out("/f", file));

    assertFalse(Files.isSymbolicLink(file));
    assertContent("mine", file);
  }

  @Test
  void whatAGuestCallsItsFilesDoesNotReachTheTerminal() {
    inGuest("/d", List.of(folder("")), file("a\u001b]0;title\u0007\u009b2J/b", "x"));

    assertEquals(ExitCode.FAILED, out("/d", here.resolve("d")));

    assertTrue(cli.err().contains("a?]0;title??2J is no directory"), cli.err());
  }

  @Test
  void linksAreNotKeptWithoutLimit() {
    String target = "x".repeat(4 << 20);
    inGuest(
        "/d",
        List.of(folder("")),
        IntStream.range(0, 17).mapToObj(i -> link("l" + i, target)).toList());

    assertEquals(ExitCode.FAILED, out("/d", here.resolve("d")));

    assertTrue(cli.err().contains("64 MiB"), cli.err());
  }

  @Test
  void aPathThatCannotBeIsAFailureAndNoBug() {
    inGuest("/d", List.of(folder(""), link("l", "a\0b")));

    assertEquals(ExitCode.FAILED, out("/d", here.resolve("d")));

    assertTrue(cli.err().startsWith("error: cannot write"), cli.err());
  }

  @Test
  void aLinkDoesNotReplaceADirectory() throws IOException {
    Files.createDirectories(here.resolve("d/l"));
    inGuest("/d/.", List.of(folder(""), link("l", "/nowhere")));

    assertEquals(ExitCode.FAILED, out("/d/.", here.resolve("d")));

    assertTrue(cli.err().contains("d/l is a directory"), cli.err());
  }

  // ---- in

  private int in(String source, String destination) {
    return cli.run("cp", source, "vm:" + destination);
  }

  private FileEntry entry(String path) {
    return guest.copied.getOrDefault(path, FileEntry.getDefaultInstance());
  }

  private ByteString content(String path) {
    return guest.contents.getOrDefault(path, ByteString.EMPTY);
  }

  @Test
  void aFileGoesIn() throws IOException {
    byte[] bytes = new byte[100_000];
    new Random(1).nextBytes(bytes);
    Path file = Files.write(here.resolve("f"), bytes);
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-x---"));
    Files.setLastModifiedTime(file, FileTime.from(Instant.ofEpochSecond(TIME.getSeconds())));

    assertEquals(0, in(file.toString(), "/x/g"), cli::err);

    assertEquals("projects/default/microvms/vm", guest.copyStart.getName());
    assertEquals("/x/g", guest.copyStart.getPath());
    assertFalse(guest.copyStart.getIntoDirectory());
    FileEntry entry = entry("");
    assertEquals(
        FileEntry.newBuilder()
            .setType(FileEntry.Type.REGULAR)
            .setMode(0750)
            .setSize(bytes.length)
            .setModificationTime(TIME)
            .build(),
        entry);
    assertArrayEquals(bytes, content("").toByteArray());
  }

  @ParameterizedTest
  @CsvSource({
    // What is at /x in the guest, how the source ends, the directory's entry, the file's in it.
    "nothing, '',   '',   sub/a",
    "nothing, '/.', '',   sub/a",
    "folder,  '',   t,    t/sub/a",
    "folder,  '/',  t,    t/sub/a",
    "folder,  '/.', none, sub/a",
  })
  void aDirectoryGoesInByDockersRules(String there, String end, String top, String file)
      throws IOException {
    Path tree = Files.createDirectory(here.resolve("t"));
    Files.createDirectory(tree.resolve("sub"));
    Files.writeString(tree.resolve("sub/a"), "hello");
    Files.createSymbolicLink(tree.resolve("l"), Path.of("/nowhere"));
    if (there.equals("folder")) {
      inGuest("/x", List.of(folder("")));
    }

    assertEquals(0, in(tree + end, "/x"), cli::err);

    assertEquals(there.equals("folder"), guest.copyStart.getIntoDirectory());
    String prefix = file.substring(0, file.length() - "sub/a".length());
    Set<String> expected = new HashSet<>(Set.of(file, prefix + "sub", prefix + "l"));
    if (!top.equals("none")) {
      expected.add(top);
    }
    assertEquals(expected, guest.copied.keySet());
    assertEquals("/nowhere", entry(prefix + "l").getLinkTarget());
    assertEquals("hello", content(file).toStringUtf8());
  }

  @Test
  void aFileGoesIntoADirectoryByItsName() throws IOException {
    inGuest("/x", List.of(folder("")));
    Path file = Files.writeString(here.resolve("f"), "hello");
    assertEquals(0, in(file.toString(), "/x"), cli::err);
    assertTrue(guest.copyStart.getIntoDirectory());
    assertEquals(Set.of("f"), guest.copied.keySet());
  }

  @Test
  void whatCannotGoInIsRefused() throws IOException {
    inGuest("/f", file("", "x"));
    Path file = Files.writeString(here.resolve("f"), "hello");
    assertEquals(ExitCode.FAILED, in(here.toString(), "/f"), "a directory onto a file");
    assertEquals(ExitCode.FAILED, in(file.toString(), "/none/"), "no such directory");
    assertEquals(ExitCode.FAILED, in(file + "/.", "/x"), "a file is no directory");
    assertEquals(ExitCode.FAILED, in(here.resolve("none").toString(), "/x"));
    assertTrue(cli.err().contains("does not exist"), cli.err());
    assertEquals(ExitCode.REFUSED, in(file.toString(), "/full"));
    assertTrue(cli.err().contains("GUEST_EXHAUSTED"), cli.err());
  }

  @Test
  void aNameThatIsNoTextIsRefusedAndNotSpoilt() throws Exception {
    // No Java program can make such a file.
    assertEquals(
        0,
        new ProcessBuilder("sh", "-c", "touch \"$(printf 'a\\377')\"")
            .directory(here.toFile())
            .start()
            .waitFor());

    assertEquals(ExitCode.FAILED, in(here.toString(), "/x"));

    assertTrue(cli.err().contains("is not UTF-8"), cli.err());
  }

  @ParameterizedTest
  @CsvSource({"a, b", "vm:/a, vm:/b", "vm:a, b", "vm:, b", "./vm:/a, b"})
  void oneOfTheTwoIsInAGuest(String source, String destination) {
    assertEquals(ExitCode.USAGE, cli.run("cp", source, destination));
    assertFalse(Files.exists(Path.of("b"), LinkOption.NOFOLLOW_LINKS));
  }
}
