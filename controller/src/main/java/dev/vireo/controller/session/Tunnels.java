package dev.vireo.controller.session;

import io.grpc.stub.ServerCallStreamObserver;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Duration;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.random.RandomGenerator;

/**
 * The tunnels of this controller: those that wait for their worker, by ids that cannot be guessed
 * and are good once; and how many there are.
 */
public final class Tunnels {
  /** 128 bits. */
  private static final int ID_BYTES = 16;

  private final Duration patience;
  private final RandomGenerator random;
  private final Map<TunnelKind, Count> counts = new EnumMap<>(TunnelKind.class);
  private final ConcurrentHashMap<String, Tunnel<?, ?>> awaited = new ConcurrentHashMap<>();

  private record Count(AtomicInteger open, Counter opened, Counter failed) {}

  /**
   * @param patience how long a worker may take to dial
   * @param random of which ids are made: one for secrets
   */
  public Tunnels(Duration patience, RandomGenerator random, MeterRegistry meters) {
    this.patience = patience;
    this.random = random;
    for (TunnelKind kind : TunnelKind.values()) {
      counts.put(kind, count(kind, meters));
    }
  }

  private static Count count(TunnelKind kind, MeterRegistry meters) {
    AtomicInteger open = new AtomicInteger();
    Gauge.builder("vireo.tunnels", open, AtomicInteger::get)
        .description("Calls to guests' agents, and to nodes, that are under way")
        .tag("kind", kind.label())
        .register(meters);
    return new Count(
        open,
        Counter.builder("vireo.tunnels.opened")
            .description("Calls to guests' agents, and to nodes, that a worker was asked to serve")
            .tag("kind", kind.label())
            .register(meters),
        Counter.builder("vireo.tunnels.failed")
            .description("Of those, the ones that ended with an error")
            .tag("kind", kind.label())
            .register(meters));
  }

  /** The client's end of a tunnel. Takes the client's handlers, so in the call's method. */
  public <Q, R> Tunnel<Q, R> of(TunnelCodec<Q, R> codec, ServerCallStreamObserver<R> client) {
    return new Tunnel<>(this, codec, client);
  }

  /**
   * Has a worker's call be awaited.
   *
   * @return the id that this call has to bring
   */
  String await(Tunnel<?, ?> tunnel) {
    Count count = count(tunnel);
    count.open.incrementAndGet();
    count.opened.increment();
    byte[] bytes = new byte[ID_BYTES];
    random.nextBytes(bytes);
    String id = HexFormat.of().formatHex(bytes);
    awaited.put(id, tunnel);
    Executor late = CompletableFuture.delayedExecutor(patience.toNanos(), TimeUnit.NANOSECONDS);
    late.execute(() -> {
      if (awaited.remove(id, tunnel)) {
        tunnel.notDialled(patience);
      }
    });
    return id;
  }

  /** The tunnel that a worker has dialled. */
  Optional<Tunnel<?, ?>> take(String id) {
    return Optional.ofNullable(awaited.remove(id));
  }

  /** One that was awaited has ended. */
  void ended(Tunnel<?, ?> tunnel, String id, boolean failed) {
    awaited.remove(id, tunnel);
    Count count = count(tunnel);
    count.open.decrementAndGet();
    if (failed) {
      count.failed.increment();
    }
  }

  private Count count(Tunnel<?, ?> tunnel) {
    return Objects.requireNonNull(counts.get(tunnel.kind()));
  }
}
