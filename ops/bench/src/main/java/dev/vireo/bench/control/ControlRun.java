package dev.vireo.bench.control;

import dev.vireo.bench.ProcessTime;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.control.ControlReport.Failover;
import dev.vireo.bench.control.ControlReport.Measured;
import dev.vireo.bench.control.ControlReport.Watched;
import dev.vireo.bench.store.PrivateStores;
import dev.vireo.controller.store.Store;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Creates through the API of a controller process, with workers that answer at once, on SQLite and
 * on an etcd of one member, each beside what the same store does without a controller; and then
 * what three controllers do when one is killed.
 */
public final class ControlRun {
  /** As many clients that wait. */
  static final int IN_FLIGHT = 64;

  private static final String SQLITE = "sqlite";
  private static final String ETCD = "etcd";
  private static final String FAILOVER = "failover";

  private static final int WORKERS = 20;
  private static final int WATCH_CLIENTS = 1_000;

  /** With fewer, what else is on the heap would count for theirs. */
  private static final int FEWEST_OBJECTS = 5_000;

  private final Installation installation;
  private final boolean quick;
  private final String only;
  private final Consumer<String> progress;

  /**
   * @param quick fewer and shorter rounds
   * @param only sqlite, etcd or failover, or what one of these begins with; empty: all
   * @param progress is told what happens
   */
  public ControlRun(
      Installation installation, boolean quick, String only, Consumer<String> progress) {
    this.installation = installation;
    this.quick = quick;
    this.only = only;
    this.progress = progress;
  }

  /** Measures; leaves nothing. */
  public ControlReport run() throws IOException, InterruptedException {
    if (Stream.of(SQLITE, ETCD, FAILOVER).noneMatch(this::isWanted)) {
      throw new IOException("there is no '%s': sqlite, etcd, failover".formatted(only));
    }
    try (OwnedProcesses owned = OwnedProcesses.create("vireo-bench")) {
      List<Measured> measured = new ArrayList<>();
      @Nullable Watched watched = null;
      if (isWanted(SQLITE)) {
        OnStore sqlite = onSqlite(owned);
        measured.add(sqlite.measured);
        watched = sqlite.watched;
      }
      if (isWanted(ETCD)) {
        measured.add(onEtcd(owned));
      }
      @Nullable Failover failover =
          isWanted(FAILOVER)
              ? new FailoverRun(installation, quick ? 1 : 3, progress).run(owned)
              : null;
      return new ControlReport(measured, watched, failover);
    }
  }

  private boolean isWanted(String name) {
    return name.startsWith(only);
  }

  private OnStore onSqlite(OwnedProcesses owned) throws IOException, InterruptedException {
    try (Store alone = PrivateStores.sqlite(owned.directory().resolve("alone.db"))) {
      return measure(owned, SQLITE, List.of(), alone, true);
    }
  }

  private Measured onEtcd(OwnedProcesses owned) throws IOException, InterruptedException {
    int port = ControllerProcess.freePort();
    Process server =
        owned.start(Path.of("etcd.log"), Map.of(), PrivateStores.etcd(owned.directory(), port));
    try (Store alone = PrivateStores.etcd(port, "/alone/")) {
      List<String> settings =
          List.of("-Dvireo.store=etcd", "-Dvireo.etcd.endpoints=http://127.0.0.1:" + port);
      return measure(owned, ETCD, settings, alone, false).measured;
    } finally {
      OwnedProcesses.stop(server);
    }
  }

  private record OnStore(Measured measured, @Nullable Watched watched) {}

  private OnStore measure(
      OwnedProcesses owned, String name, List<String> settings, Store alone, boolean watch)
      throws IOException, InterruptedException {
    progress.accept(name + ": the controller starts");
    try (ControllerProcess controller =
            ControllerProcess.start(installation, owned, "controller-" + name, settings);
        SimulatedWorkers _ = SimulatedWorkers.join(List.of(controller.channel()), WORKERS);
        CreateLoad load = new CreateLoad(controller)) {
      double heapBefore = controller.heapMib();
      progress.accept(name + ": warming");
      CreateLoad.Done warm = load.run(IN_FLIGHT, Duration.ofSeconds(quick ? 3 : 10));
      StoreAlone store = new StoreAlone(alone);
      Duration round = Duration.ofSeconds(quick ? 2 : 5);
      progress.accept(name + ": the store alone, creates, the store alone");
      double _ = store.pairsPerSecond(IN_FLIGHT, warm.recordBytes(), Duration.ofSeconds(1));
      double first = store.pairsPerSecond(IN_FLIGHT, warm.recordBytes(), round);
      double commits = controller.commits();
      double cpuSeconds = ProcessTime.cpuSeconds(controller.pid());
      CreateLoad.Done done = load.run(IN_FLIGHT, round.multipliedBy(2));
      double cpuMillis =
          1000 * (ProcessTime.cpuSeconds(controller.pid()) - cpuSeconds) / done.creates();
      double perCreate = (controller.commits() - commits) / done.creates();
      double second = store.pairsPerSecond(IN_FLIGHT, warm.recordBytes(), round);
      int objects = warm.creates() + done.creates();
      if (objects < FEWEST_OBJECTS) {
        progress.accept(name + ": more objects");
        objects += load.run(IN_FLIGHT, FEWEST_OBJECTS - objects).creates();
      }
      double heap = controller.heapMib() - heapBefore;
      Measured measured =
          new Measured(
              name,
              done.perSecond(),
              done.millis().percentile(50),
              done.millis().percentile(99),
              (first + second) / 2,
              perCreate,
              cpuMillis,
              objects,
              heap * 100_000 / objects);
      return new OnStore(measured, watch ? watched(controller, load) : null);
    }
  }

  private Watched watched(ControllerProcess controller, CreateLoad load)
      throws InterruptedException {
    progress.accept("%,d clients watch".formatted(WATCH_CLIENTS));
    ManagedChannel channel = controller.channel();
    try (WatchFanOut fanOut = WatchFanOut.open(controller, WATCH_CLIENTS, load.version(channel))) {
      WatchFanOut.Seen seen = fanOut.measure(load, channel, quick ? 10 : 50, quick ? 100 : 400);
      return new Watched(
          seen.clients(),
          seen.millis().percentile(50),
          seen.millis().percentile(99),
          seen.eventsPerSecond(),
          seen.cutOff());
    } finally {
      channel.shutdownNow();
    }
  }
}
