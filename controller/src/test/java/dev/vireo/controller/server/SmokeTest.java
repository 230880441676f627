package dev.vireo.controller.server;

import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeTunnel;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.StreamingClient;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.Vsock;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.ManagedChannel;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.reflection.v1.ServerReflectionGrpc;
import io.grpc.reflection.v1.ServerReflectionRequest;
import io.grpc.reflection.v1.ServerReflectionResponse;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.quarkus.test.junit.QuarkusTest;
import io.quarkus.test.junit.QuarkusTestProfile;
import io.quarkus.test.junit.TestProfile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.URI;
import java.net.UnixDomainSocketAddress;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.eclipse.microprofile.config.inject.ConfigProperty;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The real thing, booted: both servers, health, reflection, metrics, typed errors. */
@QuarkusTest
@TestProfile(SmokeTest.Profile.class)
final class SmokeTest {
  private static final Path STATE = Path.of("target", "smoke-test-state").toAbsolutePath();
  private static final Path SOCKET = STATE.resolve("controller/controller.sock");

  /** A fresh state directory and free ports. */
  public static final class Profile implements QuarkusTestProfile {
    @Override
    public Map<String, String> getConfigOverrides() {
      try {
        Files.deleteIfExists(STATE.resolve("controller/vireo.db"));
        return Map.of(
            "vireo.state-dir", STATE.toString(),
            "quarkus.http.test-port", "0",
            "quarkus.grpc.server.test-port", String.valueOf(freePort()));
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

  @ConfigProperty(name = "quarkus.http.test-port")
  int httpPort;

  private final EventLoopGroup eventLoop = new NioEventLoopGroup(1);
  private ManagedChannel tcp;
  private ManagedChannel unix;

  @BeforeEach
  void connect() {
    tcp = NettyChannelBuilder.forAddress("127.0.0.1", grpcPort).usePlaintext().build();
    unix =
        NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(SOCKET))
            .channelType(NioDomainSocketChannel.class, UnixDomainSocketAddress.class)
            .eventLoopGroup(eventLoop)
            .overrideAuthority("localhost")
            .usePlaintext()
            .build();
  }

  @AfterEach
  void disconnect() {
    tcp.shutdownNow();
    unix.shutdownNow();
    var _ = eventLoop.shutdownGracefully();
  }

  @Test
  void aMicroVmThatComesInByTheSocketRunsOnAWorkerThatCameByThePort() throws Exception {
    FakeWorker worker = new FakeWorker(tcp).say(FakeWorker.hello("smoke").build());
    assertTrue(worker.next().hasWelcome());
    CompletableFuture<MicroVm> running =
        CompletableFuture.supplyAsync(() ->
            MicroVmServiceGrpc.newBlockingStub(unix)
                .createMicroVm(
                    probe("vm", spec -> spec.setVsock(Vsock.getDefaultInstance())).toBuilder()
                        .setWait(Wait.WAIT_RUNNING)
                        .build()));
    worker.report(FakeWorker.running(worker.nextAssignment()));

    assertEquals(MicroVmState.RUNNING, running.join().getStatus().getState());
    assertEquals(
        running.join(),
        MicroVmServiceGrpc.newBlockingStub(tcp)
            .getMicroVm(GetMicroVmRequest.newBuilder().setName(name("vm")).build()));
    for (ManagedChannel channel : List.of(tcp, unix)) {
      aCallToItsAgentKeepsItsOrderBothWays(channel, worker);
    }
  }

  /** Of the threads that Quarkus has its services called on. */
  private void aCallToItsAgentKeepsItsOrderBothWays(ManagedChannel channel, FakeWorker worker)
      throws Exception {
    StreamingClient<ExecRequest, ExecResponse> client = new StreamingClient<>();
    MicroVmServiceGrpc.newStub(channel).exec(client);
    ExecStart start = ExecStart.newBuilder().setName(name("vm")).addArguments("true").build();
    client.say(ExecRequest.newBuilder().setStart(start).build());
    FakeTunnel tunnel = new FakeTunnel(tcp, worker.next().getOpenTunnel().getTunnelId());
    assertEquals(start, tunnel.next().getExec().getStart());
    for (int i = 0; i < 200; i++) {
      ByteString bytes = ByteString.copyFromUtf8("" + i);
      client.say(ExecRequest.newBuilder().setStdin(bytes).build());
      tunnel.say(TunnelUp.newBuilder().setExec(ExecResponse.newBuilder().setStdout(bytes)));
    }
    client.complete();
    tunnel.complete();
    for (int i = 0; i < 200; i++) {
      assertEquals("" + i, client.next().getStdout().toStringUtf8());
    }
    assertNull(client.awaitEnd());
  }

  @Test
  void errorsAreTypedOnBoth() {
    for (ManagedChannel channel : List.of(tcp, unix)) {
      MicroVmServiceGrpc.MicroVmServiceBlockingStub client =
          MicroVmServiceGrpc.newBlockingStub(channel);
      ControllerTest.assertRefused(
          ErrorReason.MICROVM_NOT_FOUND,
          () -> client.getMicroVm(GetMicroVmRequest.newBuilder().setName(name("none")).build()));
      ControllerTest.assertRefused(
          ErrorReason.FIELD_REQUIRED,
          () -> client.watchMicroVms(WatchMicroVmsRequest.getDefaultInstance()).next());
    }
  }

  /** Clients take 8 KiB of trailers, and no more of an error is told than that. */
  @Test
  void errorsOfManyOrLongWordsAreTypedToo() {
    FakeWorker worker = new FakeWorker(tcp).say(FakeWorker.hello("smoke").build());
    assertTrue(worker.next().hasWelcome());
    for (ManagedChannel channel : List.of(tcp, unix)) {
      MicroVmServiceGrpc.MicroVmServiceBlockingStub client =
          MicroVmServiceGrpc.newBlockingStub(channel);
      ControllerTest.assertRefused(
          ErrorReason.FIELD_INVALID,
          () -> {
            var _ = client.createMicroVm(withWrongRules());
          });
      ControllerTest.assertRefused(
          ErrorReason.KERNEL_NOT_FOUND,
          () -> {
            var _ =
                client.createMicroVm(
                    probe(
                        "long",
                        spec -> {
                          spec.getBootBuilder().setKernel("k".repeat(5_000));
                          return spec;
                        }));
          });
    }
  }

  private static CreateMicroVmRequest withWrongRules() {
    return probe(
        "many",
        spec -> {
          spec.getBootBuilder().clearKernel();
          spec.setMemoryMib(128).getContainerBuilder().setImage("busybox");
          Network.Builder network = spec.addNetworksBuilder().setId("net0");
          for (int i = 0; i < 64; i++) {
            network.getRoutedBuilder().getEgressBuilder().addRulesBuilder().setCidr("10.0.0.1/8");
          }
          return spec;
        });
  }

  @Test
  void bothSayThatTheyAreHealthyAndWhatTheyServe() {
    for (ManagedChannel channel : List.of(tcp, unix)) {
      assertEquals(
          ServingStatus.SERVING,
          HealthGrpc.newBlockingStub(channel)
              .check(HealthCheckRequest.getDefaultInstance())
              .getStatus());
      assertTrue(
          services(channel)
              .containsAll(
                  List.of(
                      "vireo.v1.MicroVmService",
                      "vireo.v1.NodeService",
                      "vireo.worker.v1.WorkerService")));
    }
  }

  @Test
  void theSocketIsItsOwnersAlone() throws IOException {
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(SOCKET)));
    assertEquals(
        "rwx------",
        PosixFilePermissions.toString(Files.getPosixFilePermissions(SOCKET.getParent())));
  }

  @Test
  void metricsAndHealthAreServed() {
    assertTrue(http("/q/health").contains("\"UP\""));
    String metrics = http("/metrics");
    for (String metric :
        List.of(
            "vireo_store_commit_seconds_count",
            "vireo_placement_seconds_count",
            "vireo_sessions",
            "vireo_watch_clients")) {
      assertTrue(metrics.contains(metric), metric);
    }
  }

  private static List<String> services(ManagedChannel channel) {
    CompletableFuture<ServerReflectionResponse> answer = new CompletableFuture<>();
    StreamObserver<ServerReflectionRequest> ask =
        ServerReflectionGrpc.newStub(channel)
            .serverReflectionInfo(
                new StreamObserver<>() {
                  @Override
                  public void onNext(ServerReflectionResponse response) {
                    answer.complete(response);
                  }

                  @Override
                  public void onError(Throwable error) {
                    answer.completeExceptionally(error);
                  }

                  @Override
                  public void onCompleted() {}
                });
    ask.onNext(ServerReflectionRequest.newBuilder().setListServices("").build());
    try {
      return answer.join().getListServicesResponse().getServiceList().stream()
          .map(service -> service.getName())
          .toList();
    } finally {
      ask.onCompleted();
    }
  }

  private String http(String path) {
    try (HttpClient client = HttpClient.newHttpClient()) {
      HttpRequest request =
          HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + httpPort + path)).build();
      return client.send(request, HttpResponse.BodyHandlers.ofString()).body();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
