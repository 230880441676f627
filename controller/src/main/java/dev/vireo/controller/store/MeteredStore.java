package dev.vireo.controller.store;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** A store whose calls are timed, by kind and by how they ended. */
public final class MeteredStore implements Store {
  private final Store store;
  private final String name;
  private final MeterRegistry meters;

  /**
   * @param name what the store is, as in the setting {@code vireo.store}
   */
  public MeteredStore(Store store, String name, MeterRegistry meters) {
    this.store = store;
    this.name = name;
    this.meters = meters;
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    return timed("commit", () -> store.commit(writes));
  }

  @Override
  public CompletableFuture<Void> barrier() {
    return timed("barrier", store::barrier);
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    return timed("get", () -> store.get(key));
  }

  @Override
  public CompletableFuture<Listing> list(String prefix) {
    return timed("list", () -> store.list(prefix));
  }

  @Override
  public CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher) {
    return timed("watch", () -> store.watch(prefix, afterVersion, watcher));
  }

  /** Keeping it alive is not timed. */
  @Override
  public CompletableFuture<Lease> lease(Duration time) {
    return timed("lease", () -> store.lease(time));
  }

  @Override
  public void close() {
    store.close();
  }

  private <T> CompletableFuture<T> timed(String call, Supplier<CompletableFuture<T>> asked) {
    Timer.Sample start = Timer.start(meters);
    return asked.get().whenComplete((_, error) -> start.stop(timer(call, outcome(error))));
  }

  private Timer timer(String call, String outcome) {
    return Timer.builder("vireo.store.call")
        .description("A call of the store, until its answer")
        .tags("store", name, "call", call, "outcome", outcome)
        .publishPercentileHistogram()
        .register(meters);
  }

  private static String outcome(@Nullable Throwable error) {
    Throwable cause = error instanceof CompletionException ? error.getCause() : error;
    return switch (cause) {
      case null -> "done";
      case StoreException.Conflict _ -> "conflict";
      case StoreException.Compacted _ -> "compacted";
      case StoreException.TooLarge _ -> "too_large";
      case StoreException.OutcomeUnknown _ -> "unknown";
      default -> "failed";
    };
  }
}
