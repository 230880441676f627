package dev.vireo.controller.server;

import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.ByteString;
import dev.vireo.controller.testing.Collector;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.opentelemetry.proto.trace.v1.Span;
import io.quarkus.test.junit.QuarkusTest;
import io.quarkus.test.junit.QuarkusTestProfile;
import io.quarkus.test.junit.TestProfile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.awaitility.Awaitility;
import org.eclipse.microprofile.config.ConfigProvider;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.junit.jupiter.api.Test;

/** The real thing, booted with somewhere to send traces to. */
@QuarkusTest
@TestProfile(TracedControllerTest.Profile.class)
final class TracedControllerTest {
  private static final Path STATE = Path.of("target", "traced-test-state").toAbsolutePath();
  private static final Path SOCKET = STATE.resolve("controller/controller.sock");
  private static final String CREATE = "vireo.v1.MicroVmService/CreateMicroVm";
  private static final String PARENT = "b7ad6b7169203331";

  /** A fresh state directory and free ports. */
  public static final class Profile implements QuarkusTestProfile {
    @Override
    public Map<String, String> getConfigOverrides() {
      try {
        Files.deleteIfExists(STATE.resolve("controller/vireo.db"));
        return Map.of(
            "vireo.state-dir",
            STATE.toString(),
            "quarkus.http.test-port",
            "0",
            "quarkus.grpc.server.test-port",
            String.valueOf(freePort()),
            "otel.exporter.otlp.endpoint",
            "http://127.0.0.1:" + freePort());
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private static int freePort() throws IOException {
      try (ServerSocket socket = new ServerSocket(0)) {
        return socket.getLocalPort();
      }
    }
  }

  @ConfigProperty(name = "quarkus.grpc.server.test-port")
  int grpcPort;

  @Test
  void aCreateIsOneTraceByThePortAndByTheSocket() throws Exception {
    EventLoopGroup eventLoop = new NioEventLoopGroup(1);
    ManagedChannel tcp =
        NettyChannelBuilder.forAddress("127.0.0.1", grpcPort).usePlaintext().build();
    ManagedChannel unix =
        NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(SOCKET))
            .channelType(NioDomainSocketChannel.class, UnixDomainSocketAddress.class)
            .eventLoopGroup(eventLoop)
            .overrideAuthority("localhost")
            .usePlaintext()
            .build();
    String endpoint =
        ConfigProvider.getConfig().getValue("otel.exporter.otlp.endpoint", String.class);
    try (Collector collector = new Collector(URI.create(endpoint).getPort())) {
      String byPort = "0af7651916cd43dd8448eb211c80319c";
      String bySocket = "4bf92f3577b34da6a3ce929d0e0e4736";
      create(tcp, "by-port", byPort);
      create(unix, "by-socket", bySocket);
      for (String trace : List.of(byPort, bySocket)) {
        Awaitility.await(trace)
            .atMost(Duration.ofSeconds(60)) // Spans are sent every 5 s.
            .untilAsserted(() ->
                assertEquals(
                    List.of("commit", "schedule", CREATE),
                    of(trace, collector).stream()
                        .map(Span::getName)
                        .sorted(Comparator.comparingInt(String::length))
                        .toList()));
        Span call =
            of(trace, collector).stream()
                .filter(TracedControllerTest::isCall)
                .findFirst()
                .orElseThrow();
        assertEquals(bytes(PARENT), call.getParentSpanId());
        for (Span span : of(trace, collector)) {
          assertEquals(
              isCall(span) ? bytes(PARENT) : call.getSpanId(),
              span.getParentSpanId(),
              span::getName);
        }
      }
    } finally {
      tcp.shutdownNow();
      unix.shutdownNow();
      var _ = eventLoop.shutdownGracefully();
    }
  }

  private static void create(ManagedChannel channel, String id, String trace) {
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER),
        "00-%s-%s-01".formatted(trace, PARENT));
    MicroVmServiceGrpc.newBlockingStub(channel)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
        .createMicroVm(probe(id));
  }

  private static boolean isCall(Span span) {
    return span.getName().equals(CREATE);
  }

  private static List<Span> of(String trace, Collector collector) {
    return collector.spans().stream()
        .filter(span -> span.getTraceId().equals(bytes(trace)))
        .toList();
  }

  private static ByteString bytes(String hex) {
    return ByteString.copyFrom(HexFormat.of().parseHex(hex));
  }
}
