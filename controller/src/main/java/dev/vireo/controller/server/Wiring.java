package dev.vireo.controller.server;

import com.google.protobuf.ByteString;
import dev.vireo.controller.api.PageTokens;
import dev.vireo.controller.event.Events;
import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.leader.LeaderChannels;
import dev.vireo.controller.leader.LeaderElection;
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
import dev.vireo.controller.store.Entry;
import dev.vireo.controller.store.EtcdStore;
import dev.vireo.controller.store.MeteredStore;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.store.Write;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.controller.tracing.Tracing;
import dev.vireo.proto.store.v1.LeaderRecord;
import dev.vireo.scheduler.Scheduler;
import io.micrometer.core.instrument.MeterRegistry;
import io.quarkus.grpc.GlobalInterceptor;
import jakarta.enterprise.inject.Disposes;
import jakarta.enterprise.inject.Produces;
import jakarta.inject.Singleton;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.eclipse.microprofile.config.Config;

/** Puts the plain classes of the controller together: the one place that knows of all of them. */
@Singleton
class Wiring {
  private static final int SECRET_BYTES = 32;
  private static final int EVENTS_REMEMBERED = 10_000;

  /** A worker that is asked to serve a call to an agent dials at once. */
  private static final Duration TUNNEL_WITHIN = Duration.ofSeconds(10);

  private final ControllerConfig config;
  private final ListenAddress grpc;
  private final TimeSource time = TimeSource.system();
  private final Supplier<UUID> uuids = UUID::randomUUID;
  private final Executor virtualThreads = Executors.newVirtualThreadPerTaskExecutor();
  private final Tracing tracing;
  private final LeaderChannels leaderChannels;

  Wiring(ControllerConfig config, Config settings) {
    this.config = config;
    this.grpc = ListenAddress.ofGrpc(settings);
    this.tracing = tracing(settings);
    this.leaderChannels = LeaderChannels.ofNetwork(virtualThreads, tracing.ofLeaderChannels());
  }

  private static Tracing tracing(Config settings) {
    try {
      return Tracing.configured(name -> settings.getOptionalValue(name, String.class));
    } catch (IllegalArgumentException e) {
      throw new StartupException(String.valueOf(e.getMessage()), e);
    }
  }

  /** Where others reach this controller. */
  private String address() {
    return config.leader().address().orElseGet(grpc::toString);
  }

  @Produces
  @Singleton
  TimeSource time() {
    return time;
  }

  @Produces
  @Singleton
  Supplier<UUID> uuids() {
    return uuids;
  }

  @Produces
  @Singleton
  Store store(MeterRegistry meters) {
    Store store =
        switch (config.store()) {
          case SQLITE -> sqlite(meters);
          case ETCD -> etcd();
        };
    String name = config.store().name().toLowerCase(Locale.ROOT);
    return tracing.of(new MeteredStore(store, name, meters), name);
  }

  private Store sqlite(MeterRegistry meters) {
    return SqliteStore.open(stateDirectory().resolve("vireo.db"), Clock.systemUTC(), meters);
  }

  private Store etcd() {
    stateDirectory();
    return EtcdStore.open(EtcdSettings.options(config.etcd()), time);
  }

  /** Also where the unix socket is. */
  private Path stateDirectory() {
    Path directory = config.controllerDirectory();
    try {
      Files.createDirectories(
          directory,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } catch (IOException e) {
      throw new StartupException(
          "cannot make the state directory %s: %s".formatted(directory, e), e);
    }
    return directory;
  }

  void close(@Disposes Store store) {
    store.close();
  }

  @Produces
  @Singleton
  Leadership leadership() {
    return switch (config.store()) {
      case SQLITE -> Leadership.sole(time);
      case ETCD -> Leadership.elected(time);
    };
  }

  /** Goes round once it is started. */
  @Produces
  @Singleton
  LeaderElection election(Store store, Leadership leadership) {
    LeaderRecord self =
        LeaderRecord.newBuilder().setId(uuids.get().toString()).setAddress(address()).build();
    return new LeaderElection(store, leadership, self, config.leader().lease(), time);
  }

  @Produces
  @Singleton
  @GlobalInterceptor
  LeaderProxy leaderProxy(Leadership leadership, MicroVms microVms) {
    return new LeaderProxy(
        leadership,
        leaderChannels,
        microVms,
        address(),
        config.leader().patience(),
        time,
        virtualThreads);
  }

  void close(@Disposes LeaderProxy proxy) {
    leaderChannels.close();
  }

  @Produces
  @Singleton
  Tombstones tombstones(Store store, Leadership leadership) {
    return Tombstones.open(leadership.fence(store));
  }

  @Produces
  @Singleton
  MicroVms microVms(Store store, Leadership leadership) {
    return MicroVms.open(leadership.fence(store), config.request().lifetime());
  }

  @Produces
  @Singleton
  CreateTraces traces(MicroVms microVms) {
    return tracing.of(microVms);
  }

  /** Sends what is left, once nothing follows microVMs any more. */
  void close(@Disposes CreateTraces traces) {
    tracing.close();
  }

  @Produces
  @Singleton
  @GlobalInterceptor
  FirstInterceptor callTracer() {
    return new FirstInterceptor(tracing.ofServer());
  }

  @Produces
  @Singleton
  Nodes nodes(Store store, Leadership leadership) {
    return Nodes.open(leadership.fence(store), time, config.node().lease(), uuids);
  }

  @Produces
  @Singleton
  Sessions sessions(MicroVms microVms, MeterRegistry meters) {
    return new Sessions(microVms, meters);
  }

  @Produces
  @Singleton
  Tunnels tunnels(MeterRegistry meters) {
    return new Tunnels(TUNNEL_WITHIN, new SecureRandom(), meters);
  }

  @Produces
  @Singleton
  Placer placer(MicroVms microVms, Nodes nodes, MeterRegistry meters) {
    return new Placer(microVms, nodes, Scheduler.standard(config.scheduler().profile()), meters);
  }

  @Produces
  @Singleton
  PendingMicroVms pending(MicroVms microVms, Placer placer, CreateTraces traces) {
    return new PendingMicroVms(microVms, placer, time, traces);
  }

  @Produces
  @Singleton
  Quotas quotas(Store store, Leadership leadership, MicroVms microVms) {
    return Quotas.open(leadership.fence(store), microVms, time, uuids);
  }

  @Produces
  @Singleton
  Events events(MicroVms microVms) {
    return new Events(microVms, time, uuids.get(), EVENTS_REMEMBERED);
  }

  @Produces
  @Singleton
  Reconciler reconciler(
      MicroVms microVms,
      Tombstones tombstones,
      Nodes nodes,
      Sessions sessions,
      PendingMicroVms pending,
      Leadership leadership,
      MeterRegistry meters,
      CreateTraces traces) {
    Reports reports =
        new Reports(microVms, tombstones, pending, sessions, time, meters, traces, virtualThreads);
    return new Reconciler(
        microVms,
        tombstones,
        nodes,
        sessions,
        reports,
        pending,
        config.node().deleteGrace(),
        leadership,
        time,
        meters);
  }

  @Produces
  @Singleton
  @GlobalInterceptor
  ErrorInterceptor errorInterceptor() {
    return new ErrorInterceptor();
  }

  /** Their secret is kept, so that a token is good after a restart too. */
  @Produces
  @Singleton
  PageTokens pageTokens(Store store) {
    String key = "secrets/page-tokens";
    byte[] secret = new byte[SECRET_BYTES];
    new SecureRandom().nextBytes(secret);
    while (true) {
      Optional<Entry> known = store.get(key).join();
      if (known.isPresent()) {
        return new PageTokens(known.get().value().toByteArray());
      }
      Write first = new Write.Put(key, Write.ABSENT, ByteString.copyFrom(secret));
      try {
        store.commit(List.of(first)).join();
      } catch (CompletionException e) {
        if (!(e.getCause() instanceof StoreException.Conflict)) {
          throw e;
        }
        // Another controller was quicker: its secret is everybody's.
      }
    }
  }
}
