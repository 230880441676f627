package dev.vireo.sim;

import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.sun.net.httpserver.HttpServer;
import dev.vireo.controller.api.MicroVmGrpcService;
import dev.vireo.controller.api.PageTokens;
import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.leader.Leadership;
import dev.vireo.controller.microvm.Tombstones;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.quota.Quotas;
import dev.vireo.controller.reconcile.PendingMicroVms;
import dev.vireo.controller.reconcile.Reconciler;
import dev.vireo.controller.reconcile.Reports;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.Tunnels;
import dev.vireo.controller.session.WorkerGrpcService;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.controller.tracing.Tracing;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.linux.Fd;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeImage;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.vmm.v1.AnnouncementMode;
import dev.vireo.proto.vmm.v1.RegisterPageMode;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Scheduler;
import dev.vireo.worker.boot.BootFiles;
import dev.vireo.worker.boot.OpenMemory;
import dev.vireo.worker.cgroup.Limits;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.metadata.MetadataService;
import dev.vireo.worker.microvm.Launcher;
import dev.vireo.worker.microvm.MicroVms;
import dev.vireo.worker.microvm.Reservations;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.SystemTime;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.tracing.LaunchTrace.Milestone;
import dev.vireo.worker.tracing.LaunchTracer;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmListener;
import io.grpc.Channel;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
import io.opentelemetry.proto.trace.v1.ResourceSpans;
import io.opentelemetry.proto.trace.v1.Span;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a collector is sent of one create, by both daemons: the real ones but for Quarkus, the
 * worker's redialling and the VMM, which is ready at once. Nothing of it is simulated time.
 */
class TracedCreateTest {
  private static final String TRACE = "0af7651916cd43dd8448eb211c80319c";
  private static final String CLIENT = "b7ad6b7169203331";
  private static final long PATIENCE_SECONDS = 30;

  private static final NodeResources CAPACITY =
      NodeResources.newBuilder().setCpuMilli(4000).setMemoryMib(1024).build();

  @TempDir private Path directory;

  @Test
  void oneCreateIsOneTreeOverBothDaemons() throws Exception {
    List<ResourceSpans> received = new CopyOnWriteArrayList<>();
    HttpServer collector = collector(received);
    try {
      create("http://127.0.0.1:" + collector.getAddress().getPort());
    } finally {
      collector.stop(0);
    }
    assertEquals(
        Set.of("vireo-controller", "vireo-worker"),
        received.stream().map(TracedCreateTest::service).collect(toSet()));
    List<Span> spans =
        received.stream()
            .flatMap(resource -> resource.getScopeSpansList().stream())
            .flatMap(scope -> scope.getSpansList().stream())
            .toList();
    assertEquals(
        List.of(
            "assign",
            "boot guest",
            "commit",
            "commit",
            "create machine",
            "open files",
            "prepare disks",
            "reconcile",
            "report",
            "schedule",
            "take VMM",
            "vireo.v1.MicroVmService/CreateMicroVm"),
        spans.stream().map(Span::getName).sorted().toList());
    Set<ByteString> known =
        Stream.concat(Stream.of(bytes(CLIENT)), spans.stream().map(Span::getSpanId))
            .collect(toSet());
    for (Span span : spans) {
      assertEquals(bytes(TRACE), span.getTraceId(), span::getName);
      assertTrue(known.contains(span.getParentSpanId()), span::getName);
    }
    assertEquals(one("assign", spans).getSpanId(), one("reconcile", spans).getParentSpanId());
  }

  private static HttpServer collector(List<ResourceSpans> received) throws Exception {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/v1/traces",
        exchange -> {
          received.addAll(
              ExportTraceServiceRequest.parseFrom(exchange.getRequestBody())
                  .getResourceSpansList());
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    server.start();
    return server;
  }

  private static String service(ResourceSpans spans) {
    return spans.getResource().getAttributesList().stream()
        .filter(attribute -> attribute.getKey().equals("service.name"))
        .map(attribute -> attribute.getValue().getStringValue())
        .findFirst()
        .orElse("");
  }

  private static Span one(String name, List<Span> spans) {
    return spans.stream().filter(span -> span.getName().equals(name)).findFirst().orElseThrow();
  }

  private static ByteString bytes(String hex) {
    return ByteString.copyFrom(HexFormat.of().parseHex(hex));
  }

  /** Creates one and waits until it is ready, and until all spans are sent. */
  private void create(String endpoint) throws Exception {
    try (Tracing tracing =
            Tracing.configured(name ->
                name.equals("otel.exporter.otlp.endpoint")
                    ? Optional.of(endpoint)
                    : Optional.empty());
        LaunchTracer tracer =
            LaunchTracer.configured("node-1", Map.of("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
        Store store =
            tracing.of(
                SqliteStore.open(
                    directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry()),
                "sqlite");
        StateDirectory state = StateDirectory.open(directory.resolve("node"));
        SystemTime workerTime = new SystemTime();
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Server server = controller(store, tracing, threads);
      ManagedChannel channel =
          NettyChannelBuilder.forAddress("127.0.0.1", server.getPort()).usePlaintext().build();
      try {
        new Node(channel, state, tracer, workerTime).join();
        Metadata headers = new Metadata();
        headers.put(
            Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER),
            "00-%s-%s-01".formatted(TRACE, CLIENT));
        MicroVmServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(Duration.ofSeconds(PATIENCE_SECONDS))
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
            .createMicroVm(request());
      } finally {
        channel.shutdownNow();
        server.shutdownNow();
        server.awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS);
      }
    }
  }

  private static CreateMicroVmRequest request() {
    CreateMicroVmRequest.Builder request =
        CreateMicroVmRequest.newBuilder()
            .setParent("projects/test")
            .setMicrovmId("vm")
            .setWait(CreateMicroVmRequest.Wait.WAIT_READY);
    request
        .getMicrovmBuilder()
        .getSpecBuilder()
        .setVcpus(1)
        .setMemoryMib(64)
        .getBootBuilder()
        .setKernel("probe");
    return request.build();
  }

  private static Server controller(Store store, Tracing tracing, ExecutorService threads)
      throws Exception {
    TimeSource time = TimeSource.system();
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Leadership leadership = Leadership.sole(time);
    dev.vireo.controller.microvm.MicroVms microVms =
        dev.vireo.controller.microvm.MicroVms.open(store, Duration.ofHours(1));
    CreateTraces traces = tracing.of(microVms);
    Nodes nodes = Nodes.open(store, time, Duration.ofMinutes(1), UUID::randomUUID);
    Sessions sessions = new Sessions(microVms, meters);
    Tunnels tunnels = new Tunnels(Duration.ofSeconds(10), new Random(1), meters);
    Placer placer =
        new Placer(microVms, nodes, Scheduler.standard(Profile.LEAST_ALLOCATED), meters);
    PendingMicroVms pending = new PendingMicroVms(microVms, placer, time, traces);
    Tombstones tombstones = Tombstones.open(store);
    Reports reports =
        new Reports(microVms, tombstones, pending, sessions, time, meters, traces, threads);
    Reconciler reconciler =
        new Reconciler(
            microVms,
            tombstones,
            nodes,
            sessions,
            reports,
            pending,
            Duration.ofMinutes(1),
            leadership,
            time,
            meters);
    return NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
        .executor(threads)
        .addService(
            new MicroVmGrpcService(
                microVms,
                nodes,
                sessions,
                tunnels,
                placer,
                pending,
                Quotas.open(store, microVms, time, UUID::randomUUID),
                new PageTokens(new byte[32]),
                time,
                UUID::randomUUID,
                meters,
                traces))
        .addService(
            new WorkerGrpcService(
                microVms, nodes, sessions, tunnels, reconciler, leadership, traces))
        .intercept(new ErrorInterceptor())
        .intercept(tracing.ofServer())
        .build()
        .start();
  }

  /** A worker's microVMs, and a session that ends with its channel. */
  private static final class Node implements StreamObserver<ControllerMessage> {
    private final CountDownLatch welcome = new CountDownLatch(1);
    private final MicroVms microVms;
    private final StreamObserver<WorkerMessage> controller;

    Node(Channel channel, StateDirectory state, LaunchTracer tracer, SystemTime time) {
      microVms =
          new MicroVms(
              state,
              new ReadyAtOnce(),
              new Reservations(CAPACITY),
              Networks.none("the world that is simulated has no packets"),
              tracer,
              time,
              Runnable::run,
              this::report);
      controller = WorkerServiceGrpc.newStub(channel).session(this);
    }

    void join() throws InterruptedException {
      say(
          WorkerMessage.newBuilder()
              .setHello(
                  Hello.newBuilder()
                      .setNodeId("node-1")
                      .setNodeUid("uid-of-node-1")
                      .setCapacity(CAPACITY)
                      .setCapabilities(
                          NodeCapabilities.newBuilder()
                              .setArchitecture(Architecture.X86_64)
                              .setMaxVcpus(4)
                              .addAnnouncements(Announcement.CMDLINE)
                              .addImages(
                                  NodeImage.newBuilder()
                                      .setName("probe")
                                      .setArchitecture(Architecture.X86_64)
                                      .addAnnouncements(Announcement.CMDLINE)
                                      .setGuestKind("bare-metal")))));
      assertTrue(welcome.await(PATIENCE_SECONDS, TimeUnit.SECONDS), "no welcome");
    }

    private void report(MicroVmReport report) {
      say(WorkerMessage.newBuilder().setReport(report));
    }

    private synchronized void say(WorkerMessage.Builder message) {
      controller.onNext(message.build());
    }

    @Override
    public void onNext(ControllerMessage message) {
      if (message.hasWelcome()) {
        welcome.countDown();
      } else if (message.hasDesiredChange()) {
        microVms.change(message.getDesiredChange());
      }
    }

    @Override
    public void onError(Throwable end) {}

    @Override
    public void onCompleted() {}
  }

  private static final class ReadyAtOnce implements Launcher {
    @Override
    public CompletableFuture<ContainerImage> obtainImage(Container container) {
      throw new UnsupportedOperationException("no container is asked for");
    }

    @Override
    public Supervision supervise(
        Path vsock,
        ExecRequest process,
        Container container,
        OutputLog log,
        Supervision.Listener listener) {
      throw new UnsupportedOperationException("no container is asked for");
    }

    @Override
    public BootFiles open(MicroVmSpec spec, Optional<Path> containerRoot) {
      return new BootFiles(
          Fd.open("/dev/null", Fd.O_RDWR),
          spec.getVcpus(),
          OpenMemory.ofTheVmm(spec.getMemoryMib() << 20),
          Fd.open("/dev/null", Fd.O_RDONLY),
          Optional.empty(),
          "",
          AnnouncementMode.ANNOUNCE_CMDLINE,
          RegisterPageMode.REGISTER_PAGE_AUTO,
          List.of(),
          BootFiles.consoleMaxBytes(spec),
          "");
    }

    @Override
    public MetadataService serveMetadata(
        Assignment assignment, Optional<NetworkStatus> network, Path socket) {
      return MetadataService.NONE;
    }

    @Override
    public CompletableFuture<VmmResponse> launch(
        Assignment assignment,
        BootFiles files,
        Path directory,
        LaunchTrace trace,
        Function<Vmm, VmmListener> listener) {
      files.close();
      trace.reached(Milestone.DISKS_PREPARED);
      trace.reached(Milestone.VMM_TAKEN);
      IdleVmm vmm = new IdleVmm();
      vmm.listen(listener.apply(vmm));
      return CompletableFuture.completedFuture(
          VmmResponse.newBuilder()
              .setStatus(
                  VmmStatus.newBuilder().setState(VmmState.VMM_RUNNING).setConsoleReady(true))
              .build());
    }
  }

  /** One of which nothing is asked. */
  private static final class IdleVmm implements Vmm {
    @Override
    public String id() {
      return "idle";
    }

    @Override
    public int pid() {
      return 0;
    }

    @Override
    public void listen(VmmListener listener) {}

    @Override
    public Fd assign(String microVmUid, long attempt) {
      throw new UnsupportedOperationException("it is nobody's");
    }

    @Override
    public void limit(Limits limits) {
      // Nothing here costs anything.
    }

    @Override
    public CompletableFuture<VmmResponse> request(VmmRequest.Builder request, List<Fd> given) {
      return new CompletableFuture<>();
    }

    @Override
    public void kill() {}

    @Override
    public void remove() {}
  }
}
