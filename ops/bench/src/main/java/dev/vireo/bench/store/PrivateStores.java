package dev.vireo.bench.store;

import dev.vireo.controller.store.EtcdOptions;
import dev.vireo.controller.store.EtcdStore;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.time.TimeSource;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Stores without a controller, and an etcd of one member, for one run. */
public final class PrivateStores {
  private static final Duration START = Duration.ofSeconds(30);

  private PrivateStores() {}

  public static Store sqlite(Path file) {
    return SqliteStore.open(file, Clock.systemUTC(), new SimpleMeterRegistry());
  }

  /** The command that starts an etcd of one member. */
  public static List<String> etcd(Path directory, int port) throws IOException {
    String client = "http://127.0.0.1:" + port;
    String peers = "http://127.0.0.1:" + freePort();
    return List.of(
        "etcd",
        "--max-txn-ops=512",
        "--data-dir=" + directory.resolve("etcd"),
        "--listen-client-urls=" + client,
        "--advertise-client-urls=" + client,
        "--listen-peer-urls=" + peers,
        "--initial-advertise-peer-urls=" + peers,
        "--initial-cluster=default=" + peers);
  }

  /** What that etcd has under a prefix. */
  public static Store etcd(int port, String prefix) {
    EtcdOptions options =
        new EtcdOptions(
            List.of(URI.create("http://127.0.0.1:" + port)),
            prefix,
            "bench",
            EtcdOptions.Tls.DEFAULT,
            Optional.empty(),
            START);
    return EtcdStore.open(options, TimeSource.system());
  }

  static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }
}
