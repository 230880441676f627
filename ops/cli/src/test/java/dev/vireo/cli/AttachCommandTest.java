package dev.vireo.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** A user at a container's process, by {@code attach} and by {@code run -it}. */
final class AttachCommandTest {
  private static final String JOB = "projects/default/microvms/job";

  private final FakeController controller = new FakeController();
  private final FakeProcess process = controller.guest.process;
  private final Cli cli = new Cli(controller);
  private final RecordingTerminal terminal = new RecordingTerminal();

  @AfterEach
  void close() {
    controller.close();
  }

  private static final class RecordingTerminal implements Terminal {
    final List<String> told = new ArrayList<>();

    @Override
    public boolean isThere() {
      return true;
    }

    @Override
    public Optional<ConsoleSize> size() {
      return Optional.of(ConsoleSize.newBuilder().setColumns(100).setRows(30).build());
    }

    @Override
    public Cleanup.Task makeRaw() {
      told.add("raw");
      return () -> told.add("restored");
    }
  }

  private AttachStart start() {
    return process.requests.getFirst().getStart();
  }

  private String typed() {
    StringBuilder all = new StringBuilder();
    for (AttachRequest request : process.requests) {
      all.append(request.getStdin().toStringUtf8());
    }
    return all.toString();
  }

  private void running(String... options) {
    assertEquals(
        0, cli.run("run -d job --image busybox".split(" "), options, new String[] {"--", "sh"}));
    controller.state(JOB, MicroVmState.RUNNING);
  }

  /** Keys that are typed, and then a user who waits. */
  private static InputStream keys(String typed) {
    return new InputStream() {
      private final InputStream keys = new ByteArrayInputStream(typed.getBytes(UTF_8));

      @Override
      public int read() throws IOException {
        throw new UnsupportedOperationException("in pieces");
      }

      @Override
      public int read(byte[] bytes, int from, int length) throws IOException {
        int count = keys.read(bytes, from, 1);
        try {
          if (count < 0) {
            new CountDownLatch(1).await();
          }
        } catch (InterruptedException e) {
          throw new IOException(e);
        }
        return count;
      }
    };
  }

  @Test
  void whatItReadsAndWritesIsOursAndItsEnd() {
    running("-i");
    cli.with(new ByteArrayInputStream("hello".getBytes(UTF_8)));

    assertEquals(7, cli.run("attach", "job"));

    assertEquals("hello", cli.out());
    assertEquals(AttachStart.newBuilder().setName(JOB).setStdin(true).build(), start());
    assertTrue(process.requests.getLast().hasStdinEnd());
  }

  @Test
  void aTerminalIsLeftByItsKeys() {
    running("-it");
    cli.with(terminal).with(keys("a\020b\020\020\021c"));

    assertEquals(0, cli.run("attach", "--all", "job"));

    assertEquals("a\020b\020", typed(), "what is no detaching is typed");
    assertEquals(100, start().getTerminal().getColumns());
    assertTrue(start().hasOffset());
    assertEquals(List.of("raw", "restored"), terminal.told);
    await().until(() -> process.left.size() == 1);
  }

  @Test
  void whoIsNotThereCannotBeJoined() {
    assertEquals(125, cli.run("attach", "nobody"));
    assertTrue(cli.err().contains("MICROVM_NOT_FOUND"), cli.err());
  }

  @Test
  void aRunThatReadsHasOurInputAndEndsWithItsProcess() {
    controller.afterCreate(name -> controller.state(name, MicroVmState.RUNNING));
    process.reads = bytes -> controller.output(JOB, Stream.STDOUT, bytes.toStringUtf8());
    process.ends = () -> controller.exit(JOB, 7);
    cli.with(new ByteArrayInputStream("hi\n".getBytes(UTF_8)));

    assertEquals(7, cli.run("run job -i --rm --image busybox -- cat".split(" ")));

    assertEquals("hi\n", cli.out());
    assertEquals(
        AttachStart.newBuilder().setName(JOB).setStdin(true).setInputOnly(true).build(), start());
    assertEquals(1, controller.deletes.size());
    Container container = controller.creates.getFirst().getMicrovm().getSpec().getContainer();
    assertTrue(container.getStdin());
    assertFalse(container.getTerminal());
  }

  @Test
  void aRunThatIsLeftRunsOn() {
    controller.afterCreate(name -> controller.state(name, MicroVmState.RUNNING));
    cli.with(terminal).with("TERM", "xterm").with(keys("x\020\021"));

    assertEquals(0, cli.run("run job -it --rm --image busybox -- sh".split(" ")));

    assertEquals("x", typed());
    assertEquals(30, start().getTerminal().getRows());
    assertEquals(List.of("raw", "restored"), terminal.told);
    assertEquals(List.of(), controller.deletes);
    assertTrue(cli.err().contains("see vireo attach job"), cli.err());
    Container container = controller.creates.getFirst().getMicrovm().getSpec().getContainer();
    assertTrue(container.getTerminal());
    assertEquals("xterm", container.getEnvironmentOrThrow("TERM"));
  }

  @Test
  void whatCannotBeJoinedIsRefused() {
    assertEquals(ExitCode.USAGE, cli.run("run", "job", "-i"));
    assertEquals(
        ExitCode.USAGE, cli.run("run job -it --restart always --image busybox".split(" ")));
    assertEquals(List.of(), controller.creates);
  }

  @Test
  void detachKeysArePassedOnWhenTheyAreNotBoth() {
    DetachKeys keys = new DetachKeys();
    assertEquals(ByteString.copyFromUtf8("a"), keys.pass(ByteString.copyFromUtf8("a\020")));
    assertEquals(ByteString.copyFromUtf8("\020b"), keys.pass(ByteString.copyFromUtf8("b")));
    assertEquals(ByteString.copyFromUtf8("\021"), keys.pass(ByteString.copyFromUtf8("\021\020")));
    assertFalse(keys.areTyped());
    assertEquals(ByteString.EMPTY, keys.pass(ByteString.copyFromUtf8("\021more")));
    assertTrue(keys.areTyped());
  }
}
