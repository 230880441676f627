package dev.vireo.sim.network;

import dev.vireo.sim.kernel.SimProcess;
import java.time.Duration;
import java.util.ArrayDeque;

/**
 * One direction of a connection: what is sent arrives in order, each message when it gets there, at
 * one thread of the receiver, which takes one after the other.
 */
final class Pipe {
  private static final int ROOM = 32;

  private final SimProcess receiver;
  private final Link link;
  private final ArrayDeque<Runnable> arrived = new ArrayDeque<>();
  private long lastArrivalNanos;
  private int underWay;
  private boolean pumping;
  private boolean cut;

  Pipe(SimProcess receiver, Link link) {
    this.receiver = receiver;
    this.link = link;
  }

  /** Whether the sender need not wait. */
  boolean hasRoom() {
    return underWay < ROOM;
  }

  /** Sends; {@code delivery} is what the receiver makes of it. Lost if the pipe is cut by then. */
  void send(Runnable delivery) {
    long now = receiver.simulation().nanos();
    lastArrivalNanos = Math.max(lastArrivalNanos, now + link.delay().toNanos());
    underWay++;
    var _ =
        receiver
            .simulation()
            .after(Duration.ofNanos(lastArrivalNanos - now), () -> arrive(delivery));
  }

  private void arrive(Runnable delivery) {
    underWay--;
    if (!cut) {
      hand(delivery);
    }
  }

  /** Nothing that was sent before arrives any more; the receiver is told so some time. */
  void cut(Runnable end) {
    if (!cut) {
      cut = true;
      var _ = receiver.simulation().after(link.untilNoticed(), () -> hand(end));
    }
  }

  /** Cut by the receiver itself, who knows. */
  void close() {
    cut = true;
  }

  boolean isCut() {
    return cut;
  }

  /** To the receiver's thread for this connection. */
  private void hand(Runnable delivery) {
    arrived.add(delivery);
    if (!pumping) {
      pumping = true;
      receiver.execute(this::pump);
    }
  }

  private void pump() {
    for (Runnable next = arrived.poll(); next != null; next = arrived.poll()) {
      next.run();
    }
    pumping = false;
  }
}
