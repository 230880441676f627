package dev.vireo.worker.agent.program;

import static dev.vireo.worker.agent.program.Agent.PATIENCE;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.StreamEnd;
import dev.vireo.proto.v1.VsockStatus;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.worker.agent.Activity;
import dev.vireo.worker.agent.AgentCalls;
import dev.vireo.worker.agent.ContainerProcesses;
import dev.vireo.worker.agent.FakeTunnel;
import dev.vireo.worker.time.SystemTime;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Requests to the JDK's HTTP server, through a worker's calls and the agent. */
class AgentInvokeTest {
  private final SystemTime time = new SystemTime();
  private final HttpServer server;
  private final Agent agent;
  private final VsockBridge bridge;
  private final AgentCalls calls;
  private final CompletableFuture<Void> clientHasGone = new CompletableFuture<>();

  AgentInvokeTest(@TempDir Path directory) throws IOException {
    this.server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/echo", AgentInvokeTest::echo);
    server.createContext("/endless", this::endless);
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.start();
    this.agent = Agent.start(directory);
    this.bridge = new VsockBridge(directory.resolve("vsock"), agent);
    MicroVmReport report =
        MicroVmReport.newBuilder()
            .setState(MicroVmState.RUNNING)
            .setVsock(VsockStatus.newBuilder().setSocket(directory.resolve("vsock").toString()))
            .build();
    this.calls =
        new AgentCalls(
            _ -> Optional.of(report),
            new ContainerProcesses(time, RandomGenerator.of("L64X128MixRandom")),
            new Activity(time),
            time);
  }

  @AfterEach
  void stop() throws IOException {
    bridge.close();
    agent.close();
    server.stop(0);
    time.close();
  }

  /** What the request was, and its body. */
  private static void echo(HttpExchange exchange) throws IOException {
    byte[] body = exchange.getRequestBody().readAllBytes();
    exchange.getResponseHeaders().add("X-Method", exchange.getRequestMethod());
    exchange.getResponseHeaders().add("X-Uri", exchange.getRequestURI().toString());
    exchange
        .getResponseHeaders()
        .add("X-Length", "" + exchange.getRequestHeaders().getFirst("Content-Length"));
    exchange.sendResponseHeaders(200, body.length == 0 ? -1 : body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  private void endless(HttpExchange exchange) throws IOException {
    exchange.sendResponseHeaders(200, 0);
    byte[] much = new byte[64 << 10];
    try {
      while (true) {
        exchange.getResponseBody().write(much);
      }
    } catch (IOException e) {
      clientHasGone.complete(null);
      throw e;
    }
  }

  private FakeTunnel invoke(FakeTunnel tunnel, InvokeStart.Builder start) {
    say(tunnel, InvokeRequest.newBuilder().setStart(start));
    calls.serve("u1", tunnel);
    return tunnel;
  }

  private InvokeStart.Builder start(String method, String path) {
    return InvokeStart.newBuilder()
        .setMethod(method)
        .setPath(path)
        .setPort(server.getAddress().getPort());
  }

  private static void say(FakeTunnel tunnel, InvokeRequest.Builder request) {
    tunnel.say(TunnelDown.newBuilder().setInvoke(request));
  }

  private static void end(FakeTunnel tunnel) {
    say(tunnel, InvokeRequest.newBuilder().setEnd(StreamEnd.getDefaultInstance()));
  }

  private static List<String> headers(InvokeResponse head) {
    return head.getHead().getHeadersList().stream()
        .filter(header -> header.getName().toLowerCase(Locale.ROOT).startsWith("x-"))
        .map(header -> header.getName().toLowerCase(Locale.ROOT) + "=" + header.getValue())
        .sorted()
        .toList();
  }

  private static ByteString body(FakeTunnel tunnel) throws InterruptedException {
    ByteString body = ByteString.EMPTY;
    for (InvokeResponse next = tunnel.next().getInvoke();
        !next.hasEnd();
        next = tunnel.next().getInvoke()) {
      body = body.concat(next.getBody());
    }
    assertEquals(Optional.empty(), tunnel.awaitEnd());
    return body;
  }

  @Test
  void aGetIsAnswered() throws Exception {
    FakeTunnel tunnel = invoke(FakeTunnel.reading(), start("GET", "/echo?a=%20b"));
    end(tunnel);
    InvokeResponse head = tunnel.next().getInvoke();
    assertEquals(200, head.getHead().getStatus());
    assertEquals(List.of("x-length=null", "x-method=GET", "x-uri=/echo?a=%20b"), headers(head));
    assertEquals(0, body(tunnel).size());
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void aMebibyteGoesBothWays(boolean lengthIsTold) throws Exception {
    byte[] content = new byte[1 << 20];
    new Random(1).nextBytes(content);
    InvokeStart.Builder start = start("POST", "/echo");
    if (lengthIsTold) {
      start.addHeaders(
          HttpHeader.newBuilder().setName("Content-Length").setValue("" + content.length));
    }
    FakeTunnel tunnel = invoke(FakeTunnel.reading(), start);
    for (int at = 0; at < content.length; at += 64 << 10) {
      say(tunnel, InvokeRequest.newBuilder().setBody(ByteString.copyFrom(content, at, 64 << 10)));
    }
    end(tunnel);
    assertEquals(200, tunnel.next().getInvoke().getHead().getStatus());
    assertEquals(ByteString.copyFrom(content), body(tunnel));
  }

  @Test
  void whatIsNotThereIsAnAnswer() throws Exception {
    FakeTunnel tunnel = invoke(FakeTunnel.reading(), start("GET", "/none"));
    end(tunnel);
    assertEquals(404, tunnel.next().getInvoke().getHead().getStatus());
    assertTrue(body(tunnel).toStringUtf8().contains("404"));
  }

  @Test
  void aPortWhereNobodyListensIsRefused() {
    server.stop(0);
    FakeTunnel tunnel = invoke(FakeTunnel.reading(), start("GET", "/echo"));
    Optional<TunnelFailure> failure = tunnel.awaitEnd();
    assertEquals("PORT_REFUSED", failure.orElseThrow().getReason(), failure::toString);
  }

  @Test
  void aClientThatGoesIsTheServersEndToo() throws Exception {
    long descriptors = agent.descriptors();
    FakeTunnel tunnel = invoke(FakeTunnel.reading(), start("GET", "/endless"));
    end(tunnel);
    assertEquals(200, tunnel.next().getInvoke().getHead().getStatus());

    tunnel.go();

    clientHasGone.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
    await("nothing stays open").atMost(PATIENCE).until(() -> agent.descriptors() == descriptors);
  }
}
