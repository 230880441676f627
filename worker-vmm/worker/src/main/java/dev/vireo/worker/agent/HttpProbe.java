package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ConnectRequest;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.v1.HttpService;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.worker.http.AnswerReader;
import dev.vireo.worker.http.BadAnswerException;
import dev.vireo.worker.http.RequestWriter;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Asks a guest's HTTP server whether it is there, again and again, until it is. One that is slow to
 * come is asked less often.
 */
final class HttpProbe implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("container");

  private static final Duration FIRST_PAUSE = Duration.ofMillis(25);
  private static final Duration LONGEST_PAUSE = Duration.ofMillis(400);
  private static final Duration TRY_FOR = Duration.ofSeconds(10);
  private static final int FIRST_BAD_STATUS = 400;

  private final Path vsock;
  private final HttpService service;
  private final Time time;
  private final Runnable onReady;
  private final CompletableFuture<Void> closed = new CompletableFuture<>();

  /** That of the present try, which may have ended. */
  private volatile @Nullable AgentConnection trying;

  /**
   * @param vsock the microVM's socket, on which its guest's ports are reached
   * @param onReady once, on a thread of the probe's
   */
  HttpProbe(Path vsock, HttpService service, Time time, Runnable onReady) {
    this.vsock = vsock;
    this.service = service;
    this.time = time;
    this.onReady = onReady;
  }

  /** Returns at once. */
  void start() {
    Thread.ofVirtual().name("ready-" + vsock.getParent()).start(this::run);
  }

  private void run() {
    Duration pause = FIRST_PAUSE;
    while (!closed.isDone()) {
      try {
        if (isReady()) {
          onReady.run();
          return;
        }
      } catch (AgentException | BadAnswerException | IOException e) {
        LOG.log(Level.DEBUG, "{0}: not ready: {1}", vsock, e.getMessage());
      }
      pause(pause);
      pause =
          pause.multipliedBy(2).compareTo(LONGEST_PAUSE) < 0
              ? pause.multipliedBy(2)
              : LONGEST_PAUSE;
    }
  }

  private void pause(Duration wait) {
    CompletableFuture<Void> over = new CompletableFuture<>();
    Alarm alarm = time.after(wait, () -> over.complete(null));
    CompletableFuture.anyOf(over, closed).join();
    alarm.cancel();
  }

  private boolean isReady() throws AgentException, BadAnswerException, IOException {
    AgentConnection agent = new AgentConnection(time);
    trying = agent;
    Alarm late = time.after(TRY_FOR, agent::close);
    try (agent) {
      if (closed.isDone()) {
        return false;
      }
      agent.open(vsock, TRY_FOR);
      agent.send(
          HostMessage.newBuilder()
              .setConnect(ConnectRequest.newBuilder().setPort(service.getPort()))
              .build());
      return agent.read().hasDone() && (service.getReadinessPath().isEmpty() || answersWell(agent));
    } finally {
      late.cancel();
    }
  }

  private boolean answersWell(AgentConnection agent)
      throws AgentException, BadAnswerException, IOException {
    RequestWriter request =
        new RequestWriter(InvokeStart.newBuilder().setPath(service.getReadinessPath()).build());
    agent.send(HostMessage.newBuilder().setData(request.end()).build());
    AnswerReader answer = new AnswerReader(false);
    List<InvokeResponse> parts = List.of();
    while (parts.isEmpty()) {
      AgentMessage message = agent.read();
      parts = message.hasData() ? answer.read(message.getData()) : answer.end();
    }
    return parts.getFirst().getHead().getStatus() < FIRST_BAD_STATUS;
  }

  /** Asks no more. */
  @Override
  public void close() {
    closed.complete(null);
    AgentConnection last = trying;
    if (last != null) {
      last.close();
    }
  }
}
