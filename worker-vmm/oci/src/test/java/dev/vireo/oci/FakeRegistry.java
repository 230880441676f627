package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** The pull side of a registry on loopback, without TLS, that can be made to misbehave. */
final class FakeRegistry implements AutoCloseable {
  /** How it wants to be logged in to. */
  enum Login {
    NONE,
    /** Anyone gets a token. */
    TOKEN,
    /** A token is for user:secret. */
    TOKEN_FOR_USER,
    BASIC
  }

  /** Waits until a byte is to be sent. */
  @FunctionalInterface
  interface Trickle {
    void await() throws InterruptedException;
  }

  static final String USER =
      "Basic " + Base64.getEncoder().encodeToString("user:secret".getBytes(UTF_8));
  private static final String TOKEN = "Bearer a-token";

  private final HttpServer server;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final CountDownLatch closed = new CountDownLatch(1);
  private final Map<String, byte[]> manifests = new ConcurrentHashMap<>();
  private final Map<String, byte[]> blobs = new ConcurrentHashMap<>();
  private final List<String> requests = new CopyOnWriteArrayList<>();
  private final Login login;

  private volatile Optional<String> tokens = Optional.empty();
  private volatile boolean redirecting;
  private volatile int sentOfBlobs = Integer.MAX_VALUE;
  private volatile boolean stalling;
  private volatile boolean stallingManifests;
  private volatile Optional<Trickle> trickle = Optional.empty();
  private volatile Optional<String> stallingBlob = Optional.empty();
  private volatile Optional<String> retryAfter = Optional.empty();
  private final AtomicInteger busy = new AtomicInteger();
  private final AtomicInteger broken = new AtomicInteger();

  FakeRegistry(Login login) throws IOException {
    this.login = login;
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(threads);
    server.createContext("/", this::answer);
    server.start();
  }

  String address() {
    return "localhost:" + server.getAddress().getPort();
  }

  /** The repository is called a/b. */
  void put(String tag, byte[] manifest, Map<String, byte[]> content) {
    manifests.put(tag, manifest);
    blobs.putAll(content);
    // A manifest's digest is a reference to it too.
    manifests.putAll(content);
  }

  /** Tokens are to be had there. */
  void tokensFrom(String url) {
    tokens = Optional.of(url);
  }

  /** The same server, as no host that is known to be this machine: an IPv4-mapped address. */
  String addressAsAnotherHost() {
    return "[::ffff:127.0.0.1]:" + server.getAddress().getPort();
  }

  /** Blobs are elsewhere, where credentials must not go. */
  void redirectBlobs() {
    redirecting = true;
  }

  /** Of each blob only so many bytes come; then nothing, or the connection's end. */
  void cutBlobs(int bytes, boolean stall) {
    sentOfBlobs = bytes;
    stalling = stall;
  }

  /** Of this blob the second half never comes. */
  void stallBlob(String digest) {
    stallingBlob = Optional.of(digest);
  }

  /** So many connections for blobs end too early. */
  void breakBlobs(int times) {
    broken.set(times);
  }

  /** Blobs come byte by byte. */
  void trickleBlobs(Trickle next) {
    trickle = Optional.of(next);
  }

  void stallManifests() {
    stallingManifests = true;
  }

  /** So many requests are too many. */
  void beBusy(int times, String seconds) {
    busy.set(times);
    retryAfter = Optional.of(seconds);
  }

  /** Paths that were asked for. */
  List<String> requests() {
    return new ArrayList<>(requests);
  }

  private void answer(HttpExchange exchange) throws IOException {
    try (exchange) {
      String path = exchange.getRequestURI().getPath();
      requests.add(path);
      if (path.equals("/token")) {
        token(exchange);
      } else if (path.startsWith("/elsewhere/")) {
        elsewhere(exchange, path.substring("/elsewhere/".length()));
      } else if (!isLoggedIn(exchange)) {
        exchange.getResponseHeaders().add("WWW-Authenticate", challenge());
        send(exchange, 401, "{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}".getBytes(UTF_8));
      } else if (busy.getAndUpdate(left -> Math.max(0, left - 1)) > 0) {
        exchange.getResponseHeaders().add("Retry-After", retryAfter.orElseThrow());
        send(exchange, 429, new byte[0]);
      } else if (path.startsWith("/v2/a/b/manifests/")) {
        manifest(exchange, path.substring("/v2/a/b/manifests/".length()));
      } else if (path.startsWith("/v2/a/b/blobs/")) {
        blob(exchange, path.substring("/v2/a/b/blobs/".length()));
      } else {
        send(exchange, 404, "{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}".getBytes(UTF_8));
      }
    }
  }

  private String challenge() {
    return login == Login.BASIC
        ? "Basic realm=\"registry\""
        : "Bearer realm=\"%s\",service=\"registry\""
            .formatted(tokens.orElse("http://%s/token".formatted(address())));
  }

  private boolean isLoggedIn(HttpExchange exchange) {
    String authorization = exchange.getRequestHeaders().getFirst("Authorization");
    return switch (login) {
      case NONE -> true;
      case TOKEN, TOKEN_FOR_USER -> TOKEN.equals(authorization);
      case BASIC -> USER.equals(authorization);
    };
  }

  private void token(HttpExchange exchange) throws IOException {
    String authorization = exchange.getRequestHeaders().getFirst("Authorization");
    String query = exchange.getRequestURI().getQuery();
    if (!query.equals("service=registry&scope=repository:a/b:pull")) {
      send(exchange, 400, query.getBytes(UTF_8));
    } else if (login == Login.TOKEN_FOR_USER && !USER.equals(authorization)) {
      send(exchange, 401, new byte[0]);
    } else {
      send(exchange, 200, "{\"token\":\"a-token\"}".getBytes(UTF_8));
    }
  }

  private void manifest(HttpExchange exchange, String reference) throws IOException {
    byte[] manifest = manifests.get(reference);
    if (stallingManifests) {
      await();
    }
    if (manifest == null) {
      send(exchange, 404, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}".getBytes(UTF_8));
    } else {
      send(exchange, 200, manifest);
    }
  }

  private void blob(HttpExchange exchange, String digest) throws IOException {
    if (!blobs.containsKey(digest)) {
      send(exchange, 404, "{\"errors\":[{\"code\":\"BLOB_UNKNOWN\"}]}".getBytes(UTF_8));
    } else if (redirecting) {
      exchange
          .getResponseHeaders()
          .add("Location", "http://%s/elsewhere/%s".formatted(address(), digest));
      send(exchange, 307, new byte[0]);
    } else {
      sendBlob(exchange, blobs.getOrDefault(digest, new byte[0]));
    }
  }

  private void elsewhere(HttpExchange exchange, String digest) throws IOException {
    if (exchange.getRequestHeaders().containsKey("Authorization")) {
      send(exchange, 400, "credentials went elsewhere".getBytes(UTF_8));
    } else {
      sendBlob(exchange, blobs.getOrDefault(digest, new byte[0]));
    }
  }

  private void sendBlob(HttpExchange exchange, byte[] blob) throws IOException {
    boolean breaks = broken.getAndUpdate(left -> Math.max(0, left - 1)) > 0;
    boolean stalls = stallingBlob.equals(Optional.of(TestImage.digest(blob)));
    int sent = breaks || stalls ? blob.length / 2 : Math.min(sentOfBlobs, blob.length);
    exchange.sendResponseHeaders(200, blob.length);
    OutputStream out = exchange.getResponseBody();
    if (trickle.isPresent()) {
      trickle(trickle.get(), out, blob);
      return;
    }
    out.write(blob, 0, sent);
    out.flush();
    if (stalls || (sent < blob.length && stalling)) {
      await();
    }
  }

  private static void trickle(Trickle next, OutputStream out, byte[] blob) throws IOException {
    try {
      for (byte one : blob) {
        next.await();
        out.write(one);
        out.flush();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void await() {
    try {
      closed.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
    exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
    if (body.length > 0) {
      exchange.getResponseBody().write(body);
    }
  }

  @Override
  public void close() {
    closed.countDown();
    server.stop(0);
    threads.shutdownNow();
  }
}
