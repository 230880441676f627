package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.ResourceMeta;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Watches and consoles: nothing lost and nothing twice, whatever happens to the connection. */
class StreamsTest {
  private static final String WEB = "projects/default/microvms/web-1";
  private static final String OTHER = "projects/default/microvms/other";

  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @BeforeEach
  void createTwo() {
    controller.put(microVm(WEB));
    controller.put(microVm(OTHER));
  }

  @AfterEach
  void close() {
    controller.close();
  }

  @Test
  void watchesOneToItsDeletion() {
    controller.state(WEB, MicroVmState.RUNNING);
    controller.remove(WEB);

    assertEquals(ExitCode.OK, cli.run("watch", "web-1", "-o", "name"));

    assertEquals((WEB + "\n").repeat(3), cli.out());
  }

  @Test
  void watchesOnAfterALostConnection() {
    controller.failures.add(Status.UNAVAILABLE.asRuntimeException());
    controller.remove(WEB);

    assertEquals(ExitCode.OK, cli.run("watch", "web-1"));

    assertTrue(cli.err().contains("reconnecting"), cli.err());
    assertTrue(cli.out().contains("deleted"), cli.out());
  }

  @Test
  void beginsAnewWhenChangesAreNoLongerKept() {
    controller.failures.add(Errors.of(ErrorReason.WATCH_VERSION_TOO_OLD, "too old"));
    controller.remove(WEB);

    assertEquals(ExitCode.OK, cli.run("watch", "web-1"));

    assertTrue(cli.err().contains("changes were missed"), cli.err());
  }

  @Test
  void printsTheConsoleFromAnOffset() {
    controller.console(WEB, "0123456789");

    assertEquals(ExitCode.OK, cli.run("logs", "web-1", "--offset", "6"));

    assertEquals("6789", cli.out());
  }

  @Test
  void followsTheConsoleOverALostConnectionWithoutRepeats() {
    controller.console(WEB, "0123456789");
    controller.failures.add(Status.UNAVAILABLE.asRuntimeException());

    assertEquals(ExitCode.OK, cli.run("logs", "-f", "web-1"));

    assertEquals("0123456789", cli.out());
    assertEquals(List.of(0L, 4L), controller.logOffsets);
  }

  @Test
  void keepsAGuestsControlSequencesFromTheTerminalButNotFromAPipe() {
    String hostile = "\u001b[32mgreen\u001b[0m\u001b]0;title\u0007\u001b[2J\u0007\u001b[6nend\n";
    controller.console(WEB, hostile);

    cli.run("logs", "web-1");
    assertEquals(hostile, cli.out());

    cli.onTerminal().run("logs", "web-1");
    assertEquals("\u001b[32mgreen\u001b[0mend\n", cli.out());

    cli.run("logs", "web-1", "--raw");
    assertEquals(hostile, cli.out());
  }

  @Test
  void whoHasEnoughOfALogOrAWatchEndsItQuietly() {
    controller.console(WEB, "0123456789");
    controller.remove(OTHER);
    cli.intoClosedPipe();

    assertEquals(ExitCode.BROKEN_PIPE, cli.run("logs", "-f", "web-1"));
    assertEquals("", cli.err());
    assertEquals(ExitCode.BROKEN_PIPE, cli.run("watch", "other"));
    assertEquals("", cli.err());
    Duration soon = Duration.ofSeconds(10);
    assertEquals(
        ExitCode.BROKEN_PIPE, assertTimeoutPreemptively(soon, () -> cli.run("list", "--watch")));
    assertEquals(
        ExitCode.BROKEN_PIPE,
        assertTimeoutPreemptively(soon, () -> cli.run("top", "--interval", "10ms")));
  }

  @Test
  void waitsUntilTheDeletedIsGone() {
    assertEquals(ExitCode.OK, cli.run("delete", "web-1", "other", "--wait"));

    assertEquals("web-1 deleted\nother deleted\n", cli.out());
    assertFalse(controller.exists(WEB));
  }

  @Test
  void tellsScriptsWhatIsDeletedALineEach() {
    cli.run("delete", "web-1", "other", "-o", "json");
    List<String> lines = cli.out().lines().toList();
    assertEquals(2, lines.size(), cli.out());
    assertTrue(lines.getFirst().contains("\"name\":\"" + WEB + "\""), cli.out());

    createTwo();
    cli.run("delete", "web-1", "-o", "name");
    assertEquals(WEB + "\n", cli.out());
  }

  private static MicroVm microVm(String name) {
    return MicroVm.newBuilder().setMeta(ResourceMeta.newBuilder().setName(name)).build();
  }
}
