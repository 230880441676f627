package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.PATIENCE;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.FileEntry;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.ReadRequest;
import dev.vireo.proto.agent.v1.WriteRequest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files that go into a guest and out of it. */
class AgentFilesTest {
  private static final long TIME = 1_234_567_890;
  private static final ByteString MEGABYTES = megabytes();

  private final Path directory;
  private final Path target;
  private final Agent agent;

  AgentFilesTest(@TempDir Path directory) throws IOException {
    this.directory = directory;
    this.target = Files.createDirectory(directory.resolve("target"));
    this.agent = Agent.start(directory);
  }

  @AfterEach
  void stop() {
    agent.close();
  }

  private static ByteString megabytes() {
    byte[] bytes = new byte[3_000_000];
    new Random(1).nextBytes(bytes);
    return ByteString.copyFrom(bytes);
  }

  // --- there and back
  // -------------------------------------------------------------------------------

  @Test
  void aTreeComesBackAsItWasWritten() throws Exception {
    List<HostMessage> tree = new ArrayList<>();
    tree.add(entry(directory("").setMode(0750)));
    tree.add(entry(directory("a dir").setMode(01777).setUid(12).setGid(34)));
    tree.addAll(file("a dir/ü", 04755, MEGABYTES));
    tree.add(entry(directory("a dir/deeper")));
    tree.addAll(file("a dir/deeper/empty", 0, ByteString.EMPTY));
    tree.add(entry(link("a dir/link", "../nowhere")));
    tree.addAll(file("last", 0600, ByteString.copyFromUtf8("last")));

    assertDone(write(target.resolve("tree"), false, tree));

    assertEquals(sorted(asSent(tree)), sorted(read(target.resolve("tree"))));
    agent.awaitNoProcesses();
  }

  @Test
  void oneFileIsOneEntryWithoutAPath() throws Exception {
    List<HostMessage> file = file("", 0640, ByteString.copyFromUtf8("content"));

    assertDone(write(target.resolve("file"), false, file));

    assertEquals(asSent(file), read(target.resolve("file")));
  }

  @Test
  void entriesGoIntoADirectoryThatIsThereAndLeaveWhatElseIsInIt() throws Exception {
    Files.writeString(target.resolve("other"), "other");
    Files.createDirectories(target.resolve("sub/below"));
    List<HostMessage> entries = new ArrayList<>();
    entries.add(entry(directory("sub").setMode(0700)));
    entries.addAll(file("sub/below/file", 0644, ByteString.copyFromUtf8("x")));

    assertDone(write(target, true, entries));

    assertEquals("other", Files.readString(target.resolve("other")));
    assertEquals("x", Files.readString(target.resolve("sub/below/file")));
    assertEquals(0700, mode(target.resolve("sub")));
  }

  @Test
  void whatWasThereIsReplacedButNotALinksTarget() throws Exception {
    Path precious = Files.writeString(directory.resolve("precious"), "precious");
    Files.createSymbolicLink(target.resolve("link"), precious);
    Files.writeString(target.resolve("file"), "old");
    List<HostMessage> entries = new ArrayList<>(file("link", 0644, ByteString.copyFromUtf8("new")));
    entries.addAll(file("file", 0644, ByteString.copyFromUtf8("new")));

    assertDone(write(target, true, entries));

    assertFalse(Files.isSymbolicLink(target.resolve("link")));
    assertEquals("new", Files.readString(target.resolve("link")));
    assertEquals("new", Files.readString(target.resolve("file")));
    assertEquals("precious", Files.readString(precious));
  }

  @Test
  void aLinkIsFollowedAtThePathAndNotBelow() throws Exception {
    Files.createSymbolicLink(directory.resolve("to target"), target);
    Files.createSymbolicLink(target.resolve("out"), directory);

    List<FileEntry> entries =
        read(directory.resolve("to target")).keySet().stream().map(Seen::entry).toList();

    assertEquals(List.of("", "out"), entries.stream().map(FileEntry::getPath).toList());
    assertEquals(directory.toString(), entries.getLast().getLinkTarget());
    assertFailure(
        Failure.Code.NOT_FOUND, "out", write(target, true, file("out/x", 0644, ByteString.EMPTY)));
    assertFalse(Files.exists(directory.resolve("x")));
  }

  @Test
  void whatIsNoFileIsPassedOver() throws Exception {
    assertEquals(0, agent.run("mkfifo " + target.resolve("fifo")).exited().getStatus());
    Files.writeString(target.resolve("file"), "x");

    assertEquals(2, read(target).size());
    assertFailure(Failure.Code.INVALID, "fifo", agent.answers(reading(target.resolve("fifo"))));
  }

  // --- what is refused
  // ------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(
      strings = {"/etc/x", "..", "../x", "a/../../x", ".", "a/.", "a//b", "a/", "/", "//", "a/.."})
  void hostileNamesAreRefused(String path) throws Exception {
    Files.createDirectory(target.resolve("a"));

    assertFailure(
        Failure.Code.INVALID, path, write(target, true, file(path, 0644, ByteString.EMPTY)));

    assertEquals(List.of(target.resolve("a")), files(target));
  }

  @Test
  void whatDoesNotFitIsRefused() throws Exception {
    Files.createDirectory(target.resolve("dir"));
    List<HostMessage> none = List.of();
    assertFailure(Failure.Code.NOT_FOUND, "gone", write(target.resolve("gone"), true, none));
    assertFailure(Failure.Code.NOT_FOUND, "gone", agent.answers(reading(target.resolve("gone"))));
    assertFailure(Failure.Code.INVALID, "path", agent.answers(reading(Path.of("relative"))));
    assertFailure(
        Failure.Code.NOT_FOUND, "gone/x", write(target, true, file("gone/x", 0, ByteString.EMPTY)));
    assertFailure(
        Failure.Code.INVALID, "dir", write(target, true, file("dir", 0, ByteString.EMPTY)));
    assertFailure(
        Failure.Code.INVALID, "mode", write(target, true, file("x", 010000, ByteString.EMPTY)));
    assertFailure(
        Failure.Code.INVALID,
        "neither",
        write(target, true, List.of(entry(FileEntry.newBuilder().setPath("x")))));
    assertFailure(
        Failure.Code.INVALID, "target", write(target, true, List.of(entry(link("x", "")))));
    assertFailure(
        Failure.Code.INVALID,
        "first entry",
        write(target.resolve("new"), false, file("x", 0, ByteString.EMPTY)));
    assertFailure(
        Failure.Code.INVALID, "without a path", write(target, true, List.of(entry(directory("")))));
    assertEquals(List.of(target.resolve("dir")), files(target));
  }

  @Test
  void contentIsAsLongAsItsSizeSays() throws Exception {
    HostMessage three = entry(regular("x").setSize(3));
    HostMessage next = entry(directory("y"));
    List<List<HostMessage>> wrong =
        List.of(
            List.of(three, Talk.data("ab"), Talk.end()),
            List.of(three, Talk.data("ab"), next),
            List.of(three, Talk.data("ab"), Talk.data("cd")),
            List.of(entry(regular("x")), Talk.data("a")),
            List.of(Talk.data("a")));
    for (List<HostMessage> messages : wrong) {
      assertFailure(Failure.Code.INVALID, "content", write(target, true, messages));
    }
    assertFalse(Files.exists(target.resolve("y")));
    assertTrue(
        files(target).stream().allMatch(file -> file.endsWith("x") && file.toFile().length() == 0),
        () -> files(target).toString());
  }

  @Test
  void halfAFileIsNeverSeenAndGoneWithTheConnection() throws Exception {
    Path file = Files.writeString(target.resolve("file"), "old");
    try (var _ =
        agent.talk(writing(target, true), entry(regular("file").setSize(6)), Talk.data("new"))) {
      await("something is written").atMost(PATIENCE).until(() -> files(target).size() == 2);
      assertEquals("old", Files.readString(file));
    }
    await("it is removed").atMost(PATIENCE).until(() -> files(target).equals(List.of(file)));
    assertEquals("old", Files.readString(file));
    agent.awaitNoProcesses();
  }

  @Test
  void aFileThatBecomesShorterIsAFailure() throws Exception {
    Path file = target.resolve("file");
    Files.write(file, new byte[8 << 20]);
    try (Talk talk = agent.talk(reading(file))) {
      assertEquals(8 << 20, talk.hear().getEntry().getSize());
      Files.write(file, new byte[5 << 20]);

      List<AgentMessage> rest = talk.rest();

      assertEquals(Failure.Code.FAILED, rest.getLast().getFailure().getCode(), "it has shrunk");
    }
  }

  @Test
  void aNameThatIsNoTextIsAFailure() throws Exception {
    var _ = agent.run("touch " + target + "/$(printf 'a\\377b')");

    List<AgentMessage> answers = agent.answers(reading(target));

    Failure failure = answers.getLast().getFailure();
    assertEquals(Failure.Code.INVALID, failure.getCode());
    assertTrue(failure.getMessage().contains("a?b"), failure::getMessage);
  }

  @Test
  void aFullDiskIsExhausted() throws Exception {
    String small = target.toString();
    assertEquals(0, agent.run("mount -t tmpfs -o size=1M none " + small).exited().getStatus());
    try {
      assertFailure(
          Failure.Code.EXHAUSTED, "big", write(target, true, file("big", 0644, MEGABYTES)));
      assertEquals(List.of(), files(target));
    } finally {
      var _ = agent.run("umount " + small);
    }
  }

  /** Whoever does not read what he has asked for costs a process, and no more. */
  @Test
  void aReaderWhoDoesNotReadIsWaitedFor() throws Exception {
    Files.write(target.resolve("file"), new byte[8 << 20]);
    try (Talk talk = agent.talk(reading(target))) {
      assertTrue(talk.hear().hasEntry());
      assertEquals(1, agent.processes());
      assertEquals(8 << 20, content(talk.rest()));
    }
    try (Talk talk = agent.talk(reading(target))) {
      assertTrue(talk.hear().hasEntry());
    }
    agent.awaitNoProcesses();
  }

  private static long content(List<AgentMessage> messages) {
    return messages.stream().mapToLong(message -> message.getData().size()).sum();
  }

  // --- messages
  // -------------------------------------------------------------------------------------

  private static HostMessage entry(FileEntry.Builder entry) {
    return HostMessage.newBuilder().setEntry(entry).build();
  }

  private static FileEntry.Builder directory(String path) {
    return named(path, FileEntry.Type.DIRECTORY).setMode(0755);
  }

  private static FileEntry.Builder regular(String path) {
    return named(path, FileEntry.Type.REGULAR);
  }

  private static FileEntry.Builder link(String path, String to) {
    return named(path, FileEntry.Type.SYMBOLIC_LINK).setMode(0777).setLinkTarget(to);
  }

  private static FileEntry.Builder named(String path, FileEntry.Type type) {
    return FileEntry.newBuilder().setPath(path).setType(type).setModificationTime(TIME);
  }

  private static List<HostMessage> file(String path, int mode, ByteString content) {
    List<HostMessage> messages = new ArrayList<>();
    messages.add(entry(regular(path).setMode(mode).setSize(content.size())));
    for (int at = 0; at < content.size(); at += 64 << 10) {
      messages.add(Talk.data(content.substring(at, Math.min(content.size(), at + (64 << 10)))));
    }
    return messages;
  }

  private static HostMessage writing(Path path, boolean intoDirectory) {
    return HostMessage.newBuilder()
        .setWrite(
            WriteRequest.newBuilder().setPath(path.toString()).setIntoDirectory(intoDirectory))
        .build();
  }

  private static HostMessage reading(Path path) {
    return HostMessage.newBuilder()
        .setRead(ReadRequest.newBuilder().setPath(path.toString()))
        .build();
  }

  private List<AgentMessage> write(Path path, boolean intoDirectory, List<HostMessage> entries)
      throws IOException {
    try (Talk talk = agent.talk(writing(path, intoDirectory))) {
      for (HostMessage entry : entries) {
        talk.say(entry);
      }
      talk.say(Talk.end());
      return talk.rest();
    }
  }

  private static void assertDone(List<AgentMessage> answers) {
    assertTrue(answers.size() == 1 && answers.getFirst().hasDone(), answers::toString);
  }

  private static void assertFailure(Failure.Code code, String about, List<AgentMessage> answers) {
    Failure failure = answers.getLast().getFailure();
    assertEquals(code, failure.getCode(), answers::toString);
    assertTrue(failure.getMessage().contains(about), failure::getMessage);
  }

  // --- what is seen
  // ---------------------------------------------------------------------------------

  /** An entry, in the order in which it came. */
  private record Seen(int place, FileEntry entry) implements Comparable<Seen> {
    @Override
    public int compareTo(Seen other) {
      return Integer.compare(place, other.place);
    }
  }

  private Map<Seen, ByteString> read(Path path) throws IOException {
    List<AgentMessage> answers = agent.answers(reading(path));
    assertTrue(answers.getLast().hasEnd(), answers::toString);
    return collect(
        answers.subList(0, answers.size() - 1).stream()
            .map(answer ->
                answer.hasEntry()
                    ? entry(answer.getEntry().toBuilder())
                    : Talk.data(answer.getData()))
            .toList());
  }

  private static Map<Seen, ByteString> asSent(List<HostMessage> messages) {
    return collect(messages);
  }

  private static Map<Seen, ByteString> collect(List<HostMessage> messages) {
    Map<Seen, ByteString> seen = new TreeMap<>();
    Seen last = new Seen(0, FileEntry.getDefaultInstance());
    for (HostMessage message : messages) {
      if (message.hasEntry()) {
        last = new Seen(seen.size(), message.getEntry());
      }
      seen.merge(last, message.getData(), ByteString::concat);
    }
    return seen;
  }

  /** By path, since a directory has no order. */
  private static Map<String, Map.Entry<FileEntry, ByteString>> sorted(Map<Seen, ByteString> seen) {
    Map<String, Map.Entry<FileEntry, ByteString>> sorted = new TreeMap<>();
    seen.forEach(
        (key, content) -> sorted.put(key.entry().getPath(), Map.entry(key.entry(), content)));
    return sorted;
  }

  private static int mode(Path path) throws IOException {
    return (int) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS) & 07777;
  }

  private static List<Path> files(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      return files.sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
