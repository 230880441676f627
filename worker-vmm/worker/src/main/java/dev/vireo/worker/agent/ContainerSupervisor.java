package dev.vireo.worker.agent;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.Exited;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.SeedRequest;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.ExecExited;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.log.OutputWriter;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.CompletableFuture;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Has the agent of one guest run its container's process, writes down what that prints, and tells
 * of its end. An agent that knows the process already goes on with it, so that a worker's successor
 * takes it over. Whatever the agent does, the guest runs on: that is decided elsewhere.
 */
final class ContainerSupervisor implements Supervision {
  private static final System.Logger LOG = System.getLogger("container");

  private static final Duration DIAL_FOR = Duration.ofSeconds(10);
  private static final Duration DIAL_AGAIN = Duration.ofMillis(50);
  private static final int ENTROPY_BYTES = 64;
  private static final long NANOS = 1_000_000_000;

  /** The longest of a request's has fewer. */
  private static final int MAX_FIELD_CHARACTERS = 32;

  private static final int CANNOT_EXECUTE = 126;
  private static final int NO_SUCH_PROGRAM = 127;

  private final Path vsock;
  private final ExecRequest process;
  private final Container container;
  private final OutputLog log;
  private final Time time;
  private final RandomGenerator random;
  private final Listener listener;
  private final Thread thread;
  private final CompletableFuture<Void> done = new CompletableFuture<>();
  private volatile @Nullable AgentConnection dialled;
  private volatile boolean guestIsGone;
  private final AttachPoint point = new AttachPoint();
  private boolean outputIsLost;
  private @Nullable HttpProbe probe;

  /**
   * @param vsock the microVM's socket, on which its guest's ports are reached
   * @param process with a key, by which the agent knows it
   * @param container says when it is ready
   * @param random for the guest's own
   */
  ContainerSupervisor(
      Path vsock,
      ExecRequest process,
      Container container,
      OutputLog log,
      Time time,
      RandomGenerator random,
      Listener listener) {
    this.vsock = vsock;
    this.process = process;
    this.container = container;
    this.log = log;
    this.time = time;
    this.random = random;
    this.listener = listener;
    this.thread = Thread.ofVirtual().name("container-" + vsock.getParent()).unstarted(this::run);
  }

  /** Begins, and dials until the agent answers. Returns at once. */
  void start() {
    thread.start();
  }

  /** A client that joins it. */
  AttachCall attach(Tunnel tunnel, AttachStart start) {
    return new AttachCall(tunnel, start, process, log, point);
  }

  /** Once all is written down and told. */
  CompletableFuture<Void> done() {
    return done;
  }

  @Override
  public CompletableFuture<Void> drain() {
    guestIsGone = true;
    AgentConnection waiting = dialled;
    if (waiting != null) {
      waiting.close();
    }
    return done;
  }

  private void run() {
    OutputWriter writer;
    try {
      writer = new OutputWriter(log);
    } catch (IOException e) {
      LOG.log(Level.ERROR, "{0}: its output cannot be kept: {1}", log.directory(), e);
      listener.failed("its node cannot keep its output in %s: %s".formatted(log.directory(), e));
      finish();
      return;
    }
    try (writer) {
      point.written(writer.end());
      boolean seeded = false;
      while (!guestIsGone) {
        try {
          seeded = seeded || seed();
          if (converse(writer)) {
            return;
          }
        } catch (AgentException | IOException e) {
          LOG.log(Level.DEBUG, "{0}: no word from its agent: {1}", vsock, e.getMessage());
        }
        pause();
      }
    } catch (IOException e) {
      LOG.log(Level.ERROR, "{0}: its output may not be kept: {1}", log.directory(), e);
    } finally {
      finish();
    }
  }

  private void finish() {
    if (probe != null) {
      probe.close();
    }
    point.over();
    done.complete(null);
  }

  /** A guest that has just booted has nobody who listens; one that is gone never will. */
  private AgentConnection dial() throws AgentException, IOException {
    AgentConnection agent = new AgentConnection(time);
    dialled = agent;
    try {
      if (guestIsGone) {
        throw new IOException("the guest is gone");
      }
      agent.open(vsock, DIAL_FOR);
      return agent;
    } catch (AgentException | IOException | RuntimeException e) {
      agent.close();
      throw e;
    } finally {
      dialled = null;
    }
  }

  private void pause() {
    CompletableFuture<Void> over = new CompletableFuture<>();
    var _ = time.after(DIAL_AGAIN, () -> over.complete(null));
    over.join();
  }

  /** A guest wakes up with a clock that may be wrong, and knows nothing random. */
  private boolean seed() throws AgentException, IOException {
    byte[] entropy = new byte[ENTROPY_BYTES];
    random.nextBytes(entropy);
    try (AgentConnection agent = dial()) {
      Instant now = time.instant();
      agent.send(
          HostMessage.newBuilder()
              .setSeed(
                  SeedRequest.newBuilder()
                      .setRealtimeNs(now.getEpochSecond() * NANOS + now.getNano())
                      .setEntropy(ByteString.copyFrom(entropy)))
              .build());
      AgentMessage answer = agent.read();
      if (answer.hasFailure()) {
        LOG.log(
            Level.WARNING,
            "{0}: cannot be seeded: {1}",
            vsock,
            Conversation.printable(answer.getFailure().getMessage()));
      }
    }
    return true;
  }

  /** Until the process has ended, which it has if this is true, or the connection has. */
  private boolean converse(OutputWriter writer) throws AgentException, IOException {
    try (AgentConnection agent = dial()) {
      agent.send(HostMessage.newBuilder().setExec(process).build());
      boolean started = false;
      while (true) {
        AgentMessage message = agent.read();
        checkTurn(message, started);
        switch (message.getMessageCase()) {
          case STARTED -> {
            started = true;
            started(agent);
          }
          case STDOUT -> write(writer, Stream.STDOUT, message.getStdout());
          case STDERR -> write(writer, Stream.STDERR, message.getStderr());
          case EXITED -> {
            ended(message.getExited());
            return true;
          }
          case FAILURE -> {
            failed(message.getFailure());
            return true;
          }
          case STATUS, DATA, END, ENTRY, DONE, MESSAGE_NOT_SET ->
              throw Conversation.outOfTurn(message);
        }
      }
    } finally {
      point.disconnected();
    }
  }

  /** A start or its failure comes first, and once: each costs whoever listens something. */
  private static void checkTurn(AgentMessage message, boolean started) throws AgentException {
    boolean first = message.hasStarted() || message.hasFailure();
    if (first == started) {
      throw Conversation.outOfTurn(message);
    }
  }

  private void started(AgentConnection agent) {
    point.connected(agent);
    listener.started();
    if (!container.hasHttp()) {
      listener.ready();
    } else if (probe == null) {
      probe = new HttpProbe(vsock, container.getHttp(), time, listener::ready);
      probe.start();
    }
  }

  /** A node without room for it does not hold up the guest. */
  private void write(OutputWriter writer, Stream stream, ByteString bytes) {
    try {
      writer.append(stream, bytes, time.instant());
      point.written(writer.end());
    } catch (IOException e) {
      if (!outputIsLost) {
        outputIsLost = true;
        LOG.log(Level.ERROR, "{0}: output is lost: {1}", log.directory(), e);
      }
    }
  }

  private void ended(Exited word) throws AgentException {
    ExecExited exited = ExecConversation.exited(word);
    int signal = exited.getSignal();
    ended(exited, signal != 0 ? "killed by signal " + signal : "exit status " + exited.getStatus());
  }

  private void ended(ExecExited exited, String how) {
    point.exited(exited);
    listener.ended(exited.getStatus(), how);
  }

  private void failed(Failure failure) {
    int status =
        switch (failure.getCode()) {
          case NOT_FOUND -> isTheProgram(failure) ? NO_SUCH_PROGRAM : CANNOT_EXECUTE;
          case CODE_UNSPECIFIED,
              INVALID,
              PERMISSION_DENIED,
              NOT_EXECUTABLE,
              REFUSED,
              EXHAUSTED,
              FAILED,
              UNSUPPORTED,
              UNRECOGNIZED ->
              CANNOT_EXECUTE;
        };
    String field =
        isTheProgram(failure)
            ? ""
            : Conversation.printable(failure.getField(), MAX_FIELD_CHARACTERS) + ": ";
    ended(
        ExecExited.newBuilder().setStatus(status).build(),
        "cannot be started: " + field + Conversation.printable(failure.getMessage()));
  }

  /** Rather than its user or its directory. Agents of before do not say. */
  private static boolean isTheProgram(Failure failure) {
    return failure.getField().isEmpty() || failure.getField().equals("arguments");
  }
}
