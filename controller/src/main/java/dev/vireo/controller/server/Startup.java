package dev.vireo.controller.server;

import dev.vireo.controller.api.ContainerImageGrpcService;
import dev.vireo.controller.api.EventGrpcService;
import dev.vireo.controller.api.MicroVmGrpcService;
import dev.vireo.controller.api.NodeGrpcService;
import dev.vireo.controller.api.QuotaGrpcService;
import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.leader.LeaderElection;
import dev.vireo.controller.leader.LeaderProxy;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.reconcile.Reconciler;
import dev.vireo.controller.session.WorkerGrpcService;
import io.quarkus.grpc.GrpcService;
import io.quarkus.grpc.runtime.health.GrpcHealthStorage;
import io.quarkus.runtime.ShutdownEvent;
import io.quarkus.runtime.StartupEvent;
import jakarta.enterprise.event.Observes;
import jakarta.enterprise.inject.Instance;
import jakarta.inject.Singleton;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.List;
import org.eclipse.microprofile.config.Config;
import org.jboss.logging.Logger;
import org.jspecify.annotations.Nullable;

/** What begins and ends with the process, besides what Quarkus does. */
@Singleton
class Startup {
  private static final Logger LOG = Logger.getLogger(Startup.class);

  private final ControllerConfig config;
  private final ListenAddress grpc;
  private final Reconciler reconciler;
  private final MicroVms microVmImage;
  private final MicroVmGrpcService microVms;
  private final NodeGrpcService nodes;
  private final ContainerImageGrpcService images;
  private final QuotaGrpcService quotas;
  private final EventGrpcService events;
  private final WorkerGrpcService workers;
  private final ErrorInterceptor errors;
  private final LeaderProxy leaderProxy;
  private final FirstInterceptor callTracer;
  private final Instance<LeaderElection> election;
  private final ListenAddressGuard listenAddresses;
  private final GrpcHealthStorage tcpServerHealth;
  private @Nullable UnixSocketServer unixSocket;

  Startup(
      ControllerConfig config,
      Config settings,
      Reconciler reconciler,
      MicroVms microVmImage,
      @GrpcService MicroVmGrpcService microVms,
      @GrpcService NodeGrpcService nodes,
      @GrpcService ContainerImageGrpcService images,
      @GrpcService QuotaGrpcService quotas,
      @GrpcService EventGrpcService events,
      @GrpcService WorkerGrpcService workers,
      ErrorInterceptor errors,
      LeaderProxy leaderProxy,
      FirstInterceptor callTracer,
      Instance<LeaderElection> election,
      ListenAddressGuard listenAddresses,
      GrpcHealthStorage tcpServerHealth) {
    this.config = config;
    this.grpc = ListenAddress.ofGrpc(settings);
    this.reconciler = reconciler;
    this.microVmImage = microVmImage;
    this.microVms = microVms;
    this.nodes = nodes;
    this.images = images;
    this.quotas = quotas;
    this.events = events;
    this.workers = workers;
    this.errors = errors;
    this.leaderProxy = leaderProxy;
    this.callTracer = callTracer;
    this.election = election;
    this.listenAddresses = listenAddresses;
    this.tcpServerHealth = tcpServerHealth;
  }

  void onStart(@Observes StartupEvent event) {
    listenAddresses.check();
    checkTcpServer(grpc);
    Path path = config.controllerDirectory().resolve("controller.sock");
    unixSocket =
        UnixSocketServer.start(
            path,
            List.of(microVms, nodes, images, quotas, events, workers),
            List.of(leaderProxy, errors, callTracer));
    Thread.ofPlatform().name("reconciler").daemon().start(reconciler);
    if (config.store() == ControllerConfig.StoreKind.ETCD) {
      Thread.ofPlatform().name("election").daemon().start(election.get());
    }
    LOG.infof("listening unix=%s grpc=%s", path, grpc);
  }

  /** Quarkus goes on without its gRPC server if that could not start. */
  private void checkTcpServer(ListenAddress address) {
    if (!tcpServerHealth.getStatuses().isEmpty()) {
      return;
    }
    try (ServerSocket probe = new ServerSocket()) {
      probe.bind(new InetSocketAddress(address.host(), address.port()));
    } catch (IOException e) {
      throw new StartupException("cannot listen on %s: %s".formatted(address, e.getMessage()), e);
    }
    throw new StartupException("the gRPC server did not start; its log says why");
  }

  void onStop(@Observes ShutdownEvent event) {
    reconciler.close();
    if (config.store() == ControllerConfig.StoreKind.ETCD) {
      election.get().close();
    }
    microVmImage.endWaits();
    if (unixSocket != null) {
      unixSocket.close();
    }
  }
}
