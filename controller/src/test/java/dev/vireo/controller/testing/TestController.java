package dev.vireo.controller.testing;

import dev.vireo.controller.api.ContainerImageGrpcService;
import dev.vireo.controller.api.EventGrpcService;
import dev.vireo.controller.api.MicroVmGrpcService;
import dev.vireo.controller.api.NodeGrpcService;
import dev.vireo.controller.api.PageTokens;
import dev.vireo.controller.api.QuotaGrpcService;
import dev.vireo.controller.event.Events;
import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.leader.LeaderChannels;
import dev.vireo.controller.leader.LeaderProxy;
import dev.vireo.controller.leader.Leadership;
import dev.vireo.controller.microvm.MicroVms;
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
import dev.vireo.controller.store.Store;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.controller.tracing.Tracing;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.EventServiceGrpc;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.QuotaServiceGrpc;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Scheduler;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.UnaryOperator;

/** All of the controller but Quarkus, over in-process gRPC, on a store of the test's choice. */
public final class TestController implements AutoCloseable {
  public static final Duration LEASE = Duration.ofSeconds(15);
  public static final Duration DELETE_GRACE = Duration.ofMinutes(5);
  public static final Duration TUNNEL_WITHIN = Duration.ofMillis(500);
  public static final String PARENT = "projects/test";
  public static final int EVENTS_REMEMBERED = 20;

  public final ManualTime time;
  public final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  public final MicroVms microVms;
  public final Tombstones tombstones;
  public final Nodes nodes;
  public final Quotas quotas;
  public final Reconciler reconciler;
  public final Sessions sessions;

  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final Thread reconcilerThread;
  private final LeaderChannels leaderChannels;
  private final Server server;
  private final ManagedChannel channel;
  private final List<FakeWorker> workers = new ArrayList<>();

  public TestController(Store store) {
    this(store, new ManualTime());
  }

  public TestController(Store store, ManualTime time) {
    this(store, time, Leadership.sole(time), UUID.randomUUID().toString(), Duration.ofMillis(200));
  }

  /** One of several, reached at an in-process address. */
  public TestController(
      Store raw, ManualTime time, Leadership leadership, String name, Duration patience) {
    this(raw, time, leadership, name, patience, Tracing.OFF);
  }

  /** One that is traced. */
  public TestController(
      Store raw,
      ManualTime time,
      Leadership leadership,
      String name,
      Duration patience,
      Tracing tracing) {
    this.time = time;
    Store store = leadership.fence(tracing.of(raw, "test"));
    microVms = MicroVms.open(store, Duration.ofHours(24));
    CreateTraces traces = tracing.of(microVms);
    nodes = Nodes.open(store, time, LEASE, UUID::randomUUID);
    quotas = Quotas.open(store, microVms, time, UUID::randomUUID);
    sessions = new Sessions(microVms, meters);
    Tunnels tunnels = new Tunnels(TUNNEL_WITHIN, new Random(1), meters);
    Placer placer =
        new Placer(microVms, nodes, Scheduler.standard(Profile.LEAST_ALLOCATED), meters);
    PendingMicroVms pending = new PendingMicroVms(microVms, placer, time, traces);
    tombstones = Tombstones.open(store);
    Reports reports =
        new Reports(microVms, tombstones, pending, sessions, time, meters, traces, threads);
    reconciler =
        new Reconciler(
            microVms,
            tombstones,
            nodes,
            sessions,
            reports,
            pending,
            DELETE_GRACE,
            leadership,
            time,
            meters);
    PageTokens pageTokens = new PageTokens(new byte[32]);
    leaderChannels =
        LeaderChannels.by(address ->
            InProcessChannelBuilder.forName(address)
                .executor(threads)
                .intercept(tracing.ofLeaderChannels())
                .build());
    LeaderProxy proxy =
        new LeaderProxy(
            leadership, leaderChannels, microVms, name, patience, TimeSource.system(), threads);
    server =
        InProcessServerBuilder.forName(name)
            .executor(threads)
            .addService(
                new MicroVmGrpcService(
                    microVms,
                    nodes,
                    sessions,
                    tunnels,
                    placer,
                    pending,
                    quotas,
                    pageTokens,
                    time,
                    UUID::randomUUID,
                    meters,
                    traces))
            .addService(new NodeGrpcService(nodes, placer, pageTokens))
            .addService(new ContainerImageGrpcService(nodes, sessions, tunnels))
            .addService(new QuotaGrpcService(quotas))
            .addService(
                new EventGrpcService(
                    new Events(microVms, time, UUID.randomUUID(), EVENTS_REMEMBERED), pageTokens))
            .addService(
                new WorkerGrpcService(
                    microVms, nodes, sessions, tunnels, reconciler, leadership, traces))
            .intercept(proxy)
            .intercept(new ErrorInterceptor())
            .intercept(tracing.ofServer())
            .build();
    try {
      server.start();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    channel = InProcessChannelBuilder.forName(name).build();
    reconcilerThread = Thread.ofPlatform().name("reconciler").start(reconciler);
  }

  public ManagedChannel channel() {
    return channel;
  }

  public MicroVmServiceGrpc.MicroVmServiceBlockingStub client() {
    return MicroVmServiceGrpc.newBlockingStub(channel);
  }

  public NodeServiceGrpc.NodeServiceBlockingStub nodeClient() {
    return NodeServiceGrpc.newBlockingStub(channel);
  }

  public QuotaServiceGrpc.QuotaServiceBlockingStub quotaClient() {
    return QuotaServiceGrpc.newBlockingStub(channel);
  }

  public EventServiceGrpc.EventServiceBlockingStub eventClient() {
    return EventServiceGrpc.newBlockingStub(channel);
  }

  /** A worker that has not said anything. */
  public FakeWorker dial() {
    FakeWorker worker = new FakeWorker(channel);
    workers.add(worker);
    return worker;
  }

  /** A worker that has said Hello and was welcomed. */
  public FakeWorker join(Hello.Builder hello) {
    FakeWorker worker = dial().say(hello.build());
    if (!worker.next().hasWelcome()) {
      throw new AssertionError("no welcome");
    }
    return worker;
  }

  public FakeWorker join(String nodeId) {
    return join(FakeWorker.hello(nodeId));
  }

  /** A small guest that runs anywhere. */
  public static CreateMicroVmRequest probe(String id) {
    return probe(id, spec -> spec);
  }

  public static CreateMicroVmRequest probe(String id, UnaryOperator<MicroVmSpec.Builder> change) {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(64);
    spec.getBootBuilder().setKernel("probe");
    return CreateMicroVmRequest.newBuilder()
        .setParent(PARENT)
        .setMicrovmId(id)
        .setMicrovm(MicroVm.newBuilder().setSpec(change.apply(spec)))
        .build();
  }

  public static String name(String id) {
    return PARENT + "/microvms/" + id;
  }

  /** From now on it goes round only when the test does: its last round is over on return. */
  public void stopReconciler() {
    reconciler.close();
    try {
      reconcilerThread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
    server.shutdownNow();
    leaderChannels.close();
    stopReconciler();
    microVms.close();
    tombstones.close();
    nodes.close();
    quotas.close();
    threads.close();
  }
}
