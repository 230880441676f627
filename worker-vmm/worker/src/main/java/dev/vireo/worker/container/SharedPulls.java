package dev.vireo.worker.container;

import dev.vireo.images.Architecture;
import dev.vireo.images.container.ImageName;
import dev.vireo.worker.container.PullProgram.Outcome;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Pulls that several may wait for: one {@link PullProgram} for all who want an image of a name, and
 * so many programs at a time, since each has a heap of its own. The others wait for their turn.
 * Thread-safe.
 */
final class SharedPulls {
  private final PullProgram program;
  private final Architecture architecture;
  private final int mostAtOnce;

  /** Those that go on and those that wait, in the order of their turns. */
  private final Map<ImageName, Shared> byName = new LinkedHashMap<>();

  private int running;

  SharedPulls(PullProgram program, Architecture architecture, int mostAtOnce) {
    this.program = program;
    this.architecture = architecture;
    this.mostAtOnce = mostAtOnce;
  }

  /** One who waits for a pull. */
  interface Waiter {
    /** Its end, which is never a failure. */
    CompletableFuture<Outcome> end();

    /** No longer waits. With the last one the pull stops, or never begins. To be called once. */
    void leave();
  }

  /** Waits with those who want the same, if there are any. */
  synchronized Waiter join(ImageName name, String reference) {
    Shared shared = byName.computeIfAbsent(name, _ -> new Shared(name, reference));
    shared.waiters++;
    startThoseWhoseTurnItIs();
    return shared;
  }

  private synchronized void leave(Shared shared) {
    shared.waiters--;
    if (shared.waiters == 0) {
      byName.remove(shared.name, shared);
      if (shared.pull != null) {
        shared.pull.stop();
      }
    }
  }

  private void startThoseWhoseTurnItIs() {
    for (Optional<Shared> next = next(); running < mostAtOnce && next.isPresent(); next = next()) {
      start(next.get());
    }
  }

  private Optional<Shared> next() {
    return byName.values().stream().filter(shared -> shared.pull == null).findFirst();
  }

  private void start(Shared next) {
    try {
      PullProgram.Pull pull = program.start(next.reference, architecture);
      next.pull = pull;
      running++;
      var _ = pull.end().thenAcceptAsync(outcome -> ended(next, outcome));
    } catch (IOException e) {
      byName.remove(next.name, next);
      next.end.complete(new Outcome.Broken("its program cannot be started: " + e.getMessage()));
    }
  }

  private void ended(Shared shared, Outcome outcome) {
    synchronized (this) {
      running--;
      byName.remove(shared.name, shared);
      startThoseWhoseTurnItIs();
    }
    shared.end.complete(outcome);
  }

  /** A pull, and who waits for it. */
  private final class Shared implements Waiter {
    private final ImageName name;
    private final String reference;
    private final CompletableFuture<Outcome> end = new CompletableFuture<>();
    private int waiters;
    private PullProgram.@Nullable Pull pull;

    Shared(ImageName name, String reference) {
      this.name = name;
      this.reference = reference;
    }

    @Override
    public CompletableFuture<Outcome> end() {
      return end;
    }

    @Override
    public void leave() {
      SharedPulls.this.leave(this);
    }
  }
}
