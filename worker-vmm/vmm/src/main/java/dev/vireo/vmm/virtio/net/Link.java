package dev.vireo.vmm.virtio.net;

import dev.vireo.linux.EventFd;
import dev.vireo.vmm.virtio.EnumCounters;
import java.util.List;

/**
 * The link between guest and host: up while the host's interface is, and down for good once that is
 * gone. The threads that meet the interface find out; the driver is told by a configuration change.
 */
final class Link implements Runnable {
  /** Of the host's interface. */
  enum State {
    UP,
    /** Not up: it may come back. */
    DOWN,
    /** Deleted. */
    GONE
  }

  private final String device;
  private final List<EventFd> receivers;
  private final EnumCounters<NetEvent> events;
  private volatile State state;
  private volatile boolean toldUp;

  /**
   * @param device its id, for the log
   * @param up whether it is, and the driver may read so
   * @param receivers to be signalled on each change
   */
  Link(String device, boolean up, List<EventFd> receivers, EnumCounters<NetEvent> events) {
    this.device = device;
    this.state = up ? State.UP : State.DOWN;
    this.toldUp = up;
    this.receivers = receivers;
    this.events = events;
  }

  State state() {
    return state;
  }

  /** What the driver reads. */
  boolean toldUp() {
    return toldUp;
  }

  /** Whether the driver has to be told. */
  boolean hasNews() {
    return toldUp != (state == State.UP);
  }

  /** Makes it what the driver reads, within a change of configuration. */
  @Override
  public void run() {
    toldUp = state == State.UP;
  }

  void up() {
    if (change(State.DOWN, State.UP)) {
      events.increment(NetEvent.LINK_UP);
    }
  }

  void down() {
    if (change(State.UP, State.DOWN)) {
      events.increment(NetEvent.LINK_DOWN);
    }
  }

  /**
   * Whatever it was before, in one step: a receiver that saw it down in between could find the
   * interface writable and raise it again. Logged, which can happen once.
   */
  @SuppressWarnings("SystemOut") // The VMM's log is stderr.
  void gone(String why) {
    boolean wasUp = change(State.UP, State.GONE);
    if (wasUp) {
      events.increment(NetEvent.LINK_DOWN);
    }
    if (wasUp || change(State.DOWN, State.GONE)) {
      System.err.println(device + ": the tap interface is gone, " + why);
    }
  }

  private boolean change(State from, State to) {
    synchronized (this) {
      if (state != from) {
        return false;
      }
      state = to;
    }
    for (EventFd receiver : receivers) {
      receiver.signal();
    }
    return true;
  }
}
