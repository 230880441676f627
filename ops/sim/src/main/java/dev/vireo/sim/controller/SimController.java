package dev.vireo.sim.controller;

import dev.vireo.controller.api.MicroVmGrpcService;
import dev.vireo.controller.api.PageTokens;
import dev.vireo.controller.grpc.ErrorInterceptor;
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
import dev.vireo.controller.session.WorkerGrpcService;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Scheduler;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.network.SessionServer;
import dev.vireo.sim.store.SimDisk;
import dev.vireo.sim.store.SimStore;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** A controller's process, put together as Quarkus does it from Wiring. */
public final class SimController {
  private static final Duration REQUEST_LIFETIME = Duration.ofHours(24);

  /** Short, so that nodes are often away for longer. */
  private static final Duration DELETE_GRACE = Duration.ofSeconds(10);

  private final SimProcess process;
  private final SimStore store;
  private final RandomGenerator random;
  private final Duration lease;
  private @Nullable Parts parts;

  /** What there is once the store has been read. */
  private record Parts(Nodes nodes, MicroVmGrpcService api, WorkerGrpcService workers) {}

  public SimController(SimProcess process, SimDisk disk, Duration lease) {
    this.process = process;
    this.store = new SimStore(disk, process, process.simulation().random());
    this.random = process.simulation().random();
    this.lease = lease;
    process.execute(this::startOrExit);
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
    Leadership leadership = Leadership.sole(time);
    MicroVms microVms = MicroVms.open(store, REQUEST_LIFETIME);
    Nodes nodes = Nodes.open(store, time, lease, uuids);
    Sessions sessions = new Sessions(microVms, meters);
    Placer placer =
        new Placer(microVms, nodes, Scheduler.standard(Profile.LEAST_ALLOCATED), meters);
    PendingMicroVms pending = new PendingMicroVms(microVms, placer, time, CreateTraces.NONE);
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
            placer,
            pending,
            Quotas.open(store, microVms, time, uuids),
            new PageTokens(new byte[32]),
            time,
            uuids,
            meters,
            CreateTraces.NONE);
    parts =
        new Parts(
            nodes,
            api,
            new WorkerGrpcService(
                microVms, nodes, sessions, reconciler, leadership, CreateTraces.NONE));
    process.execute(reconciler);
    process.say("controller serves");
  }

  public SimProcess process() {
    return process;
  }

  /** Whether it has come so far as to answer. */
  public boolean serves() {
    return process.isAlive() && parts != null;
  }

  private Parts parts() {
    if (parts == null) {
      throw new IllegalStateException("it has not started");
    }
    return parts;
  }

  /** Sets what is wanted of a node, if it can. */
  public void want(String node, NodeSpec spec) {
    operate(() -> {
      process.say("operator wants of %s: %s".formatted(node, brief(spec)));
      var _ = parts().nodes().updateSpec(node, _ -> spec);
    });
  }

  private static String brief(NodeSpec spec) {
    return spec.hasDrain() ? "drain" : spec.getTaintsCount() > 0 ? "taint" : "nothing";
  }

  /** Gives a node up, if it is lost. */
  public void fence(String node) {
    operate(() ->
        process.say(
            "operator fences %s: %s"
                .formatted(
                    node, parts().nodes().fence(node, _ -> {}).isPresent() ? "done" : "refused")));
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
    return new SessionServer(process, toWorker -> parts().workers().session(toWorker));
  }

  /**
   * A call of the API.
   *
   * @param cancel what gRPC does when the client no longer waits
   */
  public record Call<R>(CompletableFuture<R> answer, Runnable cancel) {}

  /** Calls a method of the API on a thread of this process. */
  public <Q, R> Call<R> call(Q request, Method<Q, R> method, String name) {
    CompletableFuture<R> answer = new CompletableFuture<>();
    Context.CancellableContext context = Context.ROOT.withCancellation();
    process.execute(() -> {
      try {
        context.run(() -> method.call(parts().api(), request, into(answer)));
      } catch (StoreException | StatusRuntimeException | CancellationException e) {
        answer.completeExceptionally(ErrorInterceptor.typed(e, name));
      }
    });
    return new Call<>(answer, () -> process.execute(() -> context.cancel(null)));
  }

  /** One of the service's methods. */
  @FunctionalInterface
  public interface Method<Q, R> {
    void call(MicroVmGrpcService api, Q request, StreamObserver<R> answer);
  }

  private static <R> StreamObserver<R> into(CompletableFuture<R> answer) {
    return new StreamObserver<>() {
      @Override
      public void onNext(R value) {
        answer.complete(value);
      }

      @Override
      public void onError(Throwable error) {
        answer.completeExceptionally(error);
      }

      @Override
      public void onCompleted() {}
    };
  }
}
