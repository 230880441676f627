package dev.vireo.bench.store;

import static java.util.Objects.requireNonNull;

import com.google.protobuf.ByteString;
import dev.vireo.bench.Samples;
import dev.vireo.bench.cluster.OwnedProcesses;
import dev.vireo.bench.store.StoreReport.Measured;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.store.Write;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/**
 * Commits of 1 KiB to SQLite and to an etcd of one member, whose files are on one disk: in turn, in
 * several rounds, of which each store's median counts.
 */
public final class StoreRun {
  /** About what a create that waits is: the commits of so many clients. */
  static final int IN_FLIGHT = 64;

  private static final int VALUE_BYTES = 1024;

  private final int rounds;
  private final Duration time;
  private final Consumer<String> progress;
  private final AtomicLong keys = new AtomicLong();
  private final ByteString value = ByteString.copyFrom(new byte[VALUE_BYTES]);

  private record Round(double alone, Samples millis, double together) {}

  /**
   * @param quick fewer and shorter rounds
   * @param progress is told what happens
   */
  public StoreRun(boolean quick, Consumer<String> progress) {
    this.rounds = quick ? 1 : 3;
    this.time = Duration.ofSeconds(quick ? 2 : 5);
    this.progress = progress;
  }

  /** Measures; leaves nothing. */
  public StoreReport run() throws IOException, InterruptedException {
    try (OwnedProcesses owned = OwnedProcesses.create("vireo-bench")) {
      double syncs = syncsPerSecond(owned.directory().resolve("syncs"));
      Process server = null;
      try (Store sqlite = PrivateStores.sqlite(owned.directory().resolve("vireo.db"))) {
        int port = PrivateStores.freePort();
        server =
            owned.start(Path.of("etcd.log"), Map.of(), PrivateStores.etcd(owned.directory(), port));
        try (Store etcd = PrivateStores.etcd(port, "/vireo/")) {
          return new StoreReport(measure(Map.of("sqlite", sqlite, "etcd", etcd)), syncs);
        }
      } finally {
        if (server != null) {
          OwnedProcesses.stop(server);
        }
      }
    }
  }

  private List<Measured> measure(Map<String, Store> stores) throws InterruptedException {
    List<Measured> measured = new ArrayList<>();
    Map<String, List<Round>> all = Map.of("sqlite", new ArrayList<>(), "etcd", new ArrayList<>());
    for (int round = 0; round <= rounds; round++) {
      for (String name : List.of("sqlite", "etcd")) {
        progress.accept(round == 0 ? "warming " + name : name + ", round " + round);
        Round done =
            round(requireNonNull(stores.get(name)), round == 0 ? Duration.ofSeconds(1) : time);
        if (round > 0) {
          requireNonNull(all.get(name)).add(done);
        }
      }
    }
    for (String name : List.of("sqlite", "etcd")) {
      List<Round> of = requireNonNull(all.get(name));
      Samples millis =
          new Samples(of.stream().flatMap(round -> round.millis.sorted().stream()).toList());
      measured.add(
          new Measured(
              name,
              new Samples(of.stream().map(Round::alone).toList()).median(),
              millis.percentile(50),
              millis.percentile(99),
              new Samples(of.stream().map(Round::together).toList()).median()));
    }
    return measured;
  }

  private Round round(Store store, Duration lasting) throws InterruptedException {
    List<Double> millis = new ArrayList<>();
    long start = System.nanoTime();
    long end = start + lasting.toNanos();
    long now = start;
    while (now < end) {
      store.commit(List.of(next())).join();
      long answered = System.nanoTime();
      millis.add((answered - now) / 1e6);
      now = answered;
    }
    double alone = millis.size() / ((now - start) / 1e9);
    return new Round(alone, new Samples(millis), together(store, lasting));
  }

  private double together(Store store, Duration lasting) throws InterruptedException {
    Semaphore free = new Semaphore(IN_FLIGHT);
    AtomicLong done = new AtomicLong();
    long start = System.nanoTime();
    while (System.nanoTime() - start < lasting.toNanos()) {
      free.acquire();
      CompletableFuture<?> _ =
          store
              .commit(List.of(next()))
              .whenComplete((_, error) -> {
                if (error == null) {
                  done.incrementAndGet();
                }
                free.release();
              });
    }
    free.acquire(IN_FLIGHT);
    return done.get() / ((System.nanoTime() - start) / 1e9);
  }

  private Write next() {
    return new Write.Put("bench/" + keys.incrementAndGet(), Write.ABSENT, value);
  }

  private double syncsPerSecond(Path file) throws IOException {
    progress.accept("the disk");
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.allocateDirect(VALUE_BYTES);
      long count = 0;
      long start = System.nanoTime();
      while (System.nanoTime() - start < time.toNanos()) {
        channel.write(bytes.rewind());
        channel.force(false);
        count++;
      }
      return count / ((System.nanoTime() - start) / 1e9);
    }
  }
}
