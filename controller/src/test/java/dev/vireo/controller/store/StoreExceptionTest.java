package dev.vireo.controller.store;

import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

final class StoreExceptionTest {
  @Test
  void aFailureIsTheSameAtTheFutureAndAtStagesAfterIt() {
    StoreException failure = StoreException.unavailable("test");
    CompletableFuture<Void> future = CompletableFuture.failedFuture(failure);
    AtomicReference<@Nullable Throwable> atStage = new AtomicReference<>();
    CompletableFuture<?> _ =
        future.thenRun(() -> {}).whenComplete((_, error) -> atStage.set(error));

    assertSame(failure, StoreException.causeOf(requireNonNull(atStage.get())));
    assertSame(failure, StoreException.causeOf(failure));
  }

  @Test
  void whatWrapsNothingIsTheFailure() {
    CompletionException bare = new CompletionException("test", null);
    assertSame(bare, StoreException.causeOf(bare));
  }
}
