package dev.vireo.sim.network;

import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.kernel.TaskQueue;
import java.time.Duration;

/**
 * One direction of a connection: what is sent arrives in order, each message when it gets there, at
 * one thread of the receiver, which takes one after the other.
 */
final class Pipe {
  private static final int ROOM = 32;

  private final SimProcess receiver;
  private final Link link;
  private final TaskQueue arrived;
  private long lastArrivalNanos;
  private int underWay;
  private boolean cut;

  Pipe(SimProcess receiver, Link link) {
    this.receiver = receiver;
    this.arrived = new TaskQueue(receiver);
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
      arrived.execute(delivery);
    }
  }

  /** Nothing that was sent before arrives any more; the receiver is told so some time. */
  void cut(Runnable end) {
    if (!cut) {
      cut = true;
      var _ = receiver.simulation().after(link.untilNoticed(), () -> arrived.execute(end));
    }
  }

  /** Cut by the receiver itself, who knows. */
  void close() {
    cut = true;
  }

  boolean isCut() {
    return cut;
  }
}
