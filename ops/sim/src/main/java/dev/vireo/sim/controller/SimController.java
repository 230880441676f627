package dev.vireo.sim.controller;

import com.google.protobuf.TextFormat;
import dev.vireo.controller.api.MicroVmGrpcService;
import dev.vireo.controller.api.PageTokens;
import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.leader.LeaderChannels;
import dev.vireo.controller.leader.LeaderElection;
import dev.vireo.controller.leader.LeaderProxy;
import dev.vireo.controller.leader.Leadership;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
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
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.store.v1.LeaderRecord;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.QuotaStatus;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Scheduler;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.network.Cable;
import dev.vireo.sim.network.Link;
import dev.vireo.sim.network.SessionServer;
import dev.vireo.sim.store.SimDisk;
import dev.vireo.sim.store.SimEtcdStore;
import dev.vireo.sim.store.SimStore;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerInterceptors;
import io.grpc.ServerMethodDefinition;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A controller's process, put together as Quarkus does it from Wiring. */
public final class SimController {
  private static final Duration REQUEST_LIFETIME = Duration.ofHours(24);

  /** Short, so that nodes are often away for longer. */
  public static final Duration DELETE_GRACE = Duration.ofSeconds(10);

  private static final Duration LEADER_LEASE = Duration.ofSeconds(6);
  private static final Duration LEADER_PATIENCE = Duration.ofSeconds(5);

  private final SimProcess process;
  private final Cable cable;
  private final Cluster cluster;
  private final String address;
  private final RandomGenerator random;
  private final Duration lease;
  private @Nullable Parts parts;

  /**
   * What makes a controller one of several, or the only one.
   *
   * @param leadership of a controller with these clocks
   * @param opens its store, on a thread of its process
   * @param peers the controllers by their addresses
   * @param links what ways to other controllers are like
   */
  private record Cluster(
      Leadership leadership,
      Supplier<Store> opens,
      Function<String, Optional<SimController>> peers,
      Supplier<Link> links) {}

  /** What there is once the store has been read. */
  private record Parts(
      MicroVms microVms,
      Nodes nodes,
      Quotas quotas,
      ServerServiceDefinition api,
      WorkerGrpcService workers,
      Reconciler reconciler,
      Optional<LeaderElection> election) {}

  private SimController(
      SimProcess process, Cable cable, String address, Duration lease, Cluster cluster) {
    this.process = process;
    this.cable = cable;
    this.address = address;
    this.lease = lease;
    this.cluster = cluster;
    this.random = process.simulation().random();
    process.execute(this::startOrExit);
  }

  /** The only one, with a store of its own. */
  public static SimController sole(
      SimProcess process, Cable cable, String address, SimDisk disk, Duration lease) {
    Store store = new SimStore(disk, process, process.simulation().random());
    Cluster alone =
        new Cluster(
            Leadership.sole(process.timeSource()),
            () -> store,
            _ -> Optional.empty(),
            () -> new Link(process.simulation().random()));
    return new SimController(process, cable, address, lease, alone);
  }

  /**
   * One of several on one etcd.
   *
   * @param cable what connects it with workers, clients and the others
   * @param store which has not been opened
   * @param peers the others by their addresses
   */
  public static SimController replica(
      SimProcess process,
      Cable cable,
      String address,
      SimEtcdStore store,
      Duration lease,
      Function<String, Optional<SimController>> peers) {
    Cluster several =
        new Cluster(
            Leadership.elected(process.timeSource()),
            () -> {
              store.open();
              return store;
            },
            peers,
            () -> new Link(process.simulation().random()));
    return new SimController(process, cable, address, lease, several);
  }

  private void startOrExit() {
    try {
      start();
    } catch (StoreException e) {
      process.say("cannot start: " + e.getMessage());
      process.kill();
    }
  }

  private void start() {
    process.say("controller starts");
    TimeSource time = process.timeSource();
    Supplier<UUID> uuids = () -> new UUID(random.nextLong(), random.nextLong());
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    Leadership leadership = cluster.leadership;
    leadership.listen(new Told());
    Store raw = cluster.opens.get();
    Store store = leadership.fence(raw);
    MicroVms microVms = MicroVms.open(store, REQUEST_LIFETIME);
    Nodes nodes = Nodes.open(store, time, lease, uuids);
    Sessions sessions = new Sessions(microVms, meters);
    Tunnels tunnels = new Tunnels(Duration.ofSeconds(10), random, meters);
    Placer placer =
        new Placer(microVms, nodes, Scheduler.standard(Profile.LEAST_ALLOCATED), meters);
    PendingMicroVms pending = new PendingMicroVms(microVms, placer, time, CreateTraces.NONE);
    Quotas quotas = Quotas.open(store, microVms, time, uuids);
    Tombstones tombstones = Tombstones.open(store);
    Reports reports =
        new Reports(
            microVms, tombstones, pending, sessions, time, meters, CreateTraces.NONE, process);
    Reconciler reconciler =
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
    MicroVmGrpcService api =
        new MicroVmGrpcService(
            microVms,
            nodes,
            sessions,
            tunnels,
            placer,
            pending,
            quotas,
            new PageTokens(new byte[32]),
            time,
            uuids,
            meters,
            CreateTraces.NONE);
    LeaderProxy proxy =
        new LeaderProxy(
            leadership,
            LeaderChannels.by(this::channelTo),
            microVms,
            address,
            LEADER_PATIENCE,
            time,
            process);
    WorkerGrpcService workers =
        new WorkerGrpcService(
            microVms, nodes, sessions, tunnels, reconciler, leadership, CreateTraces.NONE);
    Optional<LeaderElection> election =
        leadership.leads() ? Optional.empty() : Optional.of(election(raw, uuids.get(), time));
    parts =
        new Parts(
            microVms,
            nodes,
            quotas,
            ServerInterceptors.intercept(api, proxy, new ErrorInterceptor()),
            workers,
            reconciler,
            election);
    process.execute(reconciler);
    election.ifPresent(process::execute);
    process.say("controller serves");
  }

  /** Has the trace tell of terms. */
  private final class Told implements Leadership.Listener {
    @Override
    public void elected() {
      process.say("is elected");
    }

    @Override
    public void deposed() {
      process.say("leads no more");
    }
  }

  private LeaderElection election(Store raw, UUID id, TimeSource time) {
    LeaderRecord self = LeaderRecord.newBuilder().setId(id.toString()).setAddress(address).build();
    return new LeaderElection(raw, cluster.leadership, self, LEADER_LEASE, time);
  }

  private ManagedChannel channelTo(String other) {
    return new PeerChannel(process, cable, cluster.links.get(), () -> cluster.peers.apply(other));
  }

  public SimProcess process() {
    return process;
  }

  /** What connects it with workers, clients and other controllers. */
  public Cable cable() {
    return cable;
  }

  /** Whether it has come so far as to answer. */
  public boolean serves() {
    return process.isAlive() && parts != null;
  }

  /** Whether it takes itself for the leader. */
  public boolean leads() {
    return serves() && cluster.leadership.leads();
  }

  /** Of the last change to a microVM that it shows. */
  public long imageVersion() {
    return parts().microVms.version();
  }

  /** The microVMs that it shows: each one's version by its uid. */
  public Map<String, Long> image() {
    return parts().microVms.all().stream()
        .collect(Collectors.toMap(StoredMicroVm::uid, StoredMicroVm::version));
  }

  private Parts parts() {
    if (parts == null) {
      throw new IllegalStateException("it has not started");
    }
    return parts;
  }

  /** SIGTERM: it does what is to be done before it ends. */
  public void stop() {
    process.say("is told to stop");
    process.execute(() -> {
      if (serves()) {
        parts().reconciler.close();
        parts().election.ifPresent(LeaderElection::close);
        parts().microVms.endWaits();
      }
      process.kill();
    });
  }

  /** Sets what is wanted of a node, if it can. */
  public void want(String node, NodeSpec spec) {
    operate(() -> {
      process.say("operator wants of %s: %s".formatted(node, brief(spec)));
      var _ = parts().nodes.updateSpec(node, _ -> spec);
    });
  }

  private static String brief(NodeSpec spec) {
    return spec.hasDrain() ? "drain" : spec.getTaintsCount() > 0 ? "taint" : "nothing";
  }

  /** Sets a project's quota, if it can. */
  public void limit(String project, QuotaSpec limits) {
    operate(() -> {
      process.say("operator limits %s to %s".formatted(project, brief(limits)));
      var _ = parts().quotas.set(project, limits, _ -> {});
    });
  }

  private static String brief(QuotaSpec limits) {
    return TextFormat.printer().emittingSingleLine(true).printToString(limits);
  }

  /** What a project has, as this controller's quotas have it. */
  public QuotaStatus used(String project) {
    return parts().quotas.view(parts().quotas.get(project)).getStatus();
  }

  /** Gives a node up, if it is lost. */
  public void fence(String node) {
    operate(() ->
        process.say(
            "operator fences %s: %s"
                .formatted(
                    node, parts().nodes.fence(node, _ -> {}).isPresent() ? "done" : "refused")));
  }

  private void operate(Runnable operation) {
    process.execute(() -> {
      if (serves()) {
        try {
          operation.run();
        } catch (StoreException e) {
          process.say("operator was refused: " + e.getMessage());
        }
      }
    });
  }

  /** Where workers dial. */
  public SessionServer sessions() {
    return new SessionServer(process, cable, toWorker -> parts().workers.session(toWorker));
  }

  /**
   * Serves a call of the API, on a thread of this process.
   *
   * @param onAnswer is told of its end there
   * @return what gRPC does when the client no longer waits
   */
  @SuppressWarnings("unchecked") // A method's handler is of its types.
  <Q, R> Runnable call(
      MethodDescriptor<Q, R> method,
      Metadata headers,
      Q request,
      Consumer<ApiCall.Answer<R>> onAnswer) {
    ApiCall<Q, R> call = new ApiCall<>(method, onAnswer);
    Context.CancellableContext context = Context.ROOT.withCancellation();
    process.execute(() ->
        context.run(() -> {
          ServerMethodDefinition<Q, R> definition =
              (ServerMethodDefinition<Q, R>) parts().api.getMethod(method.getFullMethodName());
          ServerCall.Listener<Q> listener =
              definition.getServerCallHandler().startCall(call, headers);
          listener.onMessage(request);
          listener.onHalfClose();
        }));
    return () ->
        process.execute(() -> {
          call.cancel();
          context.cancel(null);
        });
  }

  /**
   * An answer of the API.
   *
   * @param value none if it is an error
   * @param imageVersion of what the controller showed when it gave it
   * @param took from the call's arrival to the answer
   */
  public record Answer<R>(
      @Nullable R value, Status status, Metadata trailers, long imageVersion, Duration took) {}

  /**
   * A call of the API.
   *
   * @param cancel what gRPC does when the client no longer waits
   */
  public record Call<R>(CompletableFuture<Answer<R>> answer, Runnable cancel) {}

  /** Calls a method of the API. */
  public <Q, R> Call<R> call(Q request, MethodDescriptor<Q, R> method) {
    CompletableFuture<Answer<R>> answer = new CompletableFuture<>();
    long began = process.simulation().nanos();
    Runnable cancel =
        call(
            method,
            new Metadata(),
            request,
            end ->
                answer.complete(
                    new Answer<>(
                        end.message(),
                        end.status(),
                        end.trailers(),
                        imageVersion(),
                        Duration.ofNanos(process.simulation().nanos() - began))));
    return new Call<>(answer, cancel);
  }
}
