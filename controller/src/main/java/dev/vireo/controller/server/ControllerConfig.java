package dev.vireo.controller.server;

import dev.vireo.scheduler.Profile;
import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Settings, as {@code -Dvireo.state-dir=…} or {@code VIREO_STATE_DIR=…}. */
@ConfigMapping(prefix = "vireo")
interface ControllerConfig {
  /** Default: {@code /var/lib/vireo} for root, else {@code ~/.local/state/vireo}. */
  Optional<Path> stateDir();

  Grpc grpc();

  /** The public API and workers' sessions; see {@link ListenAddress}. */
  interface Grpc {
    /** Another than a loopback address needs TLS. */
    @WithDefault("127.0.0.1")
    String host();

    @WithDefault("7420")
    int port();
  }

  Http http();

  /** Health and metrics. */
  interface Http {
    /** Another than a loopback address needs TLS. */
    @WithDefault("127.0.0.1")
    String host();

    @WithDefault("7421")
    int port();
  }

  Node node();

  /** Nodes' sessions. */
  interface Node {
    /** Without a heartbeat for this long a node is LOST. */
    @WithDefault("15S")
    Duration lease();

    /**
     * For how long a node that is LOST is waited for that has what is to be deleted. Then the
     * deletion ends without it, and the node removes what it still runs when it comes back.
     */
    @WithDefault("5M")
    Duration deleteGrace();
  }

  Scheduler scheduler();

  /** Placement. */
  interface Scheduler {
    @WithDefault("least-allocated")
    Profile profile();
  }

  /** What the control plane's state is kept in. */
  @WithDefault("sqlite")
  StoreKind store();

  /** Where that is. */
  enum StoreKind {
    /** A file in the state directory: one controller. */
    SQLITE,
    ETCD
  }

  Etcd etcd();

  /** The etcd of {@code vireo.store=etcd}. */
  interface Etcd {
    /** Of its members, with commas between, each {@code http://HOST:PORT} or https. */
    @WithDefault("http://127.0.0.1:2379")
    List<String> endpoints();

    /** Of all its keys that are ours. */
    @WithDefault("/vireo/")
    String prefix();

    /** Another cluster's data under the prefix is refused. */
    @WithDefault("default")
    String cluster();

    /** PEM file of certificates by which members' are trusted. Default: the JDK's. */
    Optional<Path> authority();

    /** PEM file with this controller's certificate, with {@link #key} its private one, PKCS#8. */
    Optional<Path> certificate();

    Optional<Path> key();

    /** One of etcd's own, with {@link #passwordFile} a file that has nothing but its password. */
    Optional<String> user();

    Optional<Path> passwordFile();

    /** How long a call may take, and how long etcd is waited for at the start. */
    @WithDefault("10S")
    Duration timeout();
  }

  Leader leader();

  /** One of several controllers leads. With SQLite there is one, and it does. */
  interface Leader {
    /** How long a leader that says nothing leads on, before others may. */
    @WithDefault("6S")
    Duration lease();

    /**
     * Where other controllers and workers reach this one, HOST:PORT or unix:PATH. Default: where it
     * serves gRPC.
     */
    Optional<String> address();

    /** How long a call waits for a leader before it is refused. */
    @WithDefault("5S")
    Duration patience();
  }

  Request request();

  /** Idempotence. */
  interface Request {
    /** How long a create can be retried by its request id. */
    @WithDefault("24H")
    Duration lifetime();
  }

  /** Where the controller keeps its own. */
  default Path controllerDirectory() {
    return stateDir().orElseGet(ControllerConfig::defaultStateDirectory).resolve("controller");
  }

  private static Path defaultStateDirectory() {
    return System.getProperty("user.name").equals("root")
        ? Path.of("/var/lib/vireo")
        : Path.of(System.getProperty("user.home"), ".local", "state", "vireo");
  }
}
