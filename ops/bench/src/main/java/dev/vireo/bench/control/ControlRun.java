package dev.vireo.bench.control;

import dev.vireo.bench.ProcessTime;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.OwnedProcesses;
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
import org.jspecify.annotations.Nullable;

/**
 * Creates through the API of a controller process, with workers that answer at once, on SQLite and
 * on an etcd of one member, each beside what the same store does without a controller.
 */
public final class ControlRun {
  /** As many clients that wait. */
  static final int IN_FLIGHT = 64;

  private static final int WORKERS = 20;
  private static final int WATCH_CLIENTS = 1_000;

  /** With fewer, what else is on the heap would count for theirs. */
  private static final int FEWEST_OBJECTS = 5_000;

  private final Installation installation;
  private final boolean quick;
  private final Consumer<String> progress;

  /**
   * @param quick fewer and shorter rounds
   * @param progress is told what happens
   */
  public ControlRun(Installation installation, boolean quick, Consumer<String> progress) {
    this.installation = installation;
    this.quick = quick;
    this.progress = progress;
  }

  /** Measures; leaves nothing. */
  public ControlReport run() throws IOException, InterruptedException {
    try (OwnedProcesses owned = OwnedProcesses.create("vireo-bench")) {
      List<Measured> measured = new ArrayList<>();
      Path file = owned.directory().resolve("alone.db");
      OnStore sqlite;
      try (Store alone = PrivateStores.sqlite(file)) {
        sqlite = measure(owned, "sqlite", List.of(), alone, true);
      }
      measured.add(sqlite.measured);
      Process server = null;
      try {
        int port = ControllerProcess.freePort();
        server =
            owned.start(Path.of("etcd.log"), Map.of(), PrivateStores.etcd(owned.directory(), port));
        try (Store alone = PrivateStores.etcd(port, "/alone/")) {
          List<String> settings =
              List.of("-Dvireo.store=etcd", "-Dvireo.etcd.endpoints=http://127.0.0.1:" + port);
          measured.add(measure(owned, "etcd", settings, alone, false).measured);
        }
      } finally {
        if (server != null) {
          OwnedProcesses.stop(server);
        }
      }
      return new ControlReport(measured, sqlite.watched);
    }
  }

  private record OnStore(Measured measured, @Nullable Watched watched) {}

  private OnStore measure(
      OwnedProcesses owned, String name, List<String> settings, Store alone, boolean watch)
      throws IOException, InterruptedException {
    progress.accept(name + ": the controller starts");
    try (ControllerProcess controller =
            ControllerProcess.start(installation, owned, "controller-" + name, settings);
        SimulatedWorkers _ = SimulatedWorkers.join(controller, WORKERS);
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
