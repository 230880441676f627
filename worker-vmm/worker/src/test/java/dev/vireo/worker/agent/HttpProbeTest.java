package dev.vireo.worker.agent;

import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.Done;
import dev.vireo.proto.agent.v1.EndOfData;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.v1.HttpService;
import dev.vireo.worker.agent.FakeAgent.Connection;
import dev.vireo.worker.time.SystemTime;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** When a guest's HTTP server is taken to be there. */
@Timeout(60)
class HttpProbeTest {
  @TempDir private Path directory;
  private final SystemTime time = new SystemTime();
  private final CompletableFuture<Void> ready = new CompletableFuture<>();
  private FakeAgent agent;

  @BeforeEach
  void listen() throws IOException {
    agent = new FakeAgent(directory.resolve("vsock"));
  }

  @AfterEach
  void close() throws IOException {
    agent.close();
    time.close();
  }

  private HttpProbe probe(String path) {
    HttpService service = HttpService.newBuilder().setPort(8080).setReadinessPath(path).build();
    HttpProbe probe =
        new HttpProbe(directory.resolve("vsock"), service, time, () -> ready.complete(null));
    probe.start();
    return probe;
  }

  private Connection ask() throws IOException {
    Connection connection = agent.answer();
    assertEquals(8080, requireNonNull(connection.hear()).getConnect().getPort());
    return connection;
  }

  private void refuse() throws IOException {
    try (Connection connection = ask()) {
      connection.say(
          AgentMessage.newBuilder().setFailure(Failure.newBuilder().setCode(Failure.Code.REFUSED)));
    }
  }

  private void answer(String text, boolean end) throws IOException {
    try (Connection connection = ask()) {
      connection.say(AgentMessage.newBuilder().setDone(Done.getDefaultInstance()));
      assertTrue(
          requireNonNull(connection.hear())
              .getData()
              .toStringUtf8()
              .startsWith("GET /up HTTP/1.1"));
      connection.say(AgentMessage.newBuilder().setData(ByteString.copyFromUtf8(text)));
      if (end) {
        connection.say(AgentMessage.newBuilder().setEnd(EndOfData.getDefaultInstance()));
      }
      assertNull(connection.hear(), "it has heard enough");
    }
  }

  @Test
  void onceItsPortAccepts() throws Exception {
    try (HttpProbe _ = probe("")) {
      refuse();
      refuse();
      assertFalse(ready.isDone());
      try (Connection connection = ask()) {
        connection.say(AgentMessage.newBuilder().setDone(Done.getDefaultInstance()));
        ready.get(10, TimeUnit.SECONDS);
      }
    }
  }

  @Test
  void withAPathOnceThatIsAnsweredWell() throws Exception {
    try (HttpProbe _ = probe("/up")) {
      refuse();
      answer("HTTP/1.1 503 Not yet\r\n\r\n", false);
      answer("SSH-2.0-x\r\n\r\n", false);
      answer("HTTP/1.1 100 Continue\r\n", true);
      assertFalse(ready.isDone());
      answer("HTTP/1.1 301 Elsewhere\r\n\r\n", false);
      ready.get(10, TimeUnit.SECONDS);
    }
  }

  @Test
  void neverWhenItIsNotAskedAnyMore() throws Exception {
    HttpProbe probe = probe("");
    try (Connection connection = ask()) {
      probe.close();
      await().until(() -> connection.hear() == null);
    }
    assertFalse(ready.isDone());
  }
}
