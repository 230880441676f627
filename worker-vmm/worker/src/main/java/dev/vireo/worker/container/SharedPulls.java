package dev.vireo.worker.container;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageName;
import dev.vireo.worker.container.PullProgram.Outcome;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Pulls that several may wait for: one {@link PullProgram} for all who want an image of a name, and
 * so many programs at a time, since each has a heap of its own. The others wait for their turn,
 * which comes though a registry sends as slowly as it likes: a long turn ends when others wait.
 * Thread-safe.
 */
final class SharedPulls {
  /** Of a pull while others wait. */
  static final Duration LONGEST_TURN = Duration.ofMinutes(15);

  private static final System.Logger LOG = System.getLogger("container");
  private static final Outcome TURN_OVER =
      new Outcome.Refused(
          ImageException.Reason.REGISTRY_UNAVAILABLE,
          "its pull took more than %d minutes and was ended, since others waited for their turn"
              .formatted(LONGEST_TURN.toMinutes()));

  private final PullProgram program;
  private final Architecture architecture;
  private final int mostAtOnce;
  private final Time time;

  /** Those that go on and those that wait, in the order of their turns. */
  private final Map<ImageName, Shared> byName = new LinkedHashMap<>();

  /** With those that were stopped and have not ended yet. */
  private int running;

  SharedPulls(PullProgram program, Architecture architecture, int mostAtOnce, Time time) {
    this.program = program;
    this.architecture = architecture;
    this.mostAtOnce = mostAtOnce;
    this.time = time;
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
    endLongTurns();
    if (!shared.hasBegun()) {
      LOG.log(Level.INFO, "{0} waits for its turn to be pulled", reference);
    }
    return shared;
  }

  private synchronized void leave(Shared shared) {
    shared.waiters--;
    if (shared.waiters == 0) {
      byName.remove(shared.name, shared);
      shared.stop();
    }
  }

  private void startThoseWhoseTurnItIs() {
    for (Optional<Shared> next = next(); running < mostAtOnce && next.isPresent(); next = next()) {
      start(next.get());
    }
  }

  private Optional<Shared> next() {
    return byName.values().stream().filter(shared -> !shared.hasBegun()).findFirst();
  }

  /** As many as others wait for, the oldest first. */
  private synchronized void endLongTurns() {
    List<Shared> going = byName.values().stream().filter(Shared::hasBegun).toList();
    int ending = running - going.size();
    int waiting = byName.size() - going.size();
    for (Shared shared : going) {
      if (ending < waiting && time.nanos() - shared.beganNanos >= LONGEST_TURN.toNanos()) {
        endTurn(shared);
        ending++;
      }
    }
  }

  private void endTurn(Shared shared) {
    LOG.log(Level.WARNING, "the pull of {0} is ended: others wait", shared.reference);
    byName.remove(shared.name, shared);
    shared.turnIsOver = true;
    shared.stop();
  }

  private void start(Shared next) {
    try {
      PullProgram.Pull pull = program.start(next.reference, architecture);
      next.pull = pull;
      next.beganNanos = time.nanos();
      next.longTurn = time.after(LONGEST_TURN, this::endLongTurns);
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
      shared.longTurn.cancel();
      startThoseWhoseTurnItIs();
    }
    boolean cutShort = shared.turnIsOver && outcome instanceof Outcome.Broken;
    shared.end.complete(cutShort ? TURN_OVER : outcome);
  }

  /** A pull, and who waits for it. */
  private final class Shared implements Waiter {
    private final ImageName name;
    private final String reference;
    private final CompletableFuture<Outcome> end = new CompletableFuture<>();
    private int waiters;
    private PullProgram.@Nullable Pull pull;
    private long beganNanos;
    private Alarm longTurn = () -> {};
    private volatile boolean turnIsOver;

    Shared(ImageName name, String reference) {
      this.name = name;
      this.reference = reference;
    }

    private boolean hasBegun() {
      return pull != null;
    }

    private void stop() {
      if (pull != null) {
        pull.stop();
      }
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
