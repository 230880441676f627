package dev.vireo.worker.session;

import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The controllers that a worker can dial, one at a time: the next of them when one has failed, or
 * the leader that one of them has named, which need not be among them.
 */
public final class Controllers implements AutoCloseable {
  private final List<ControllerAddress> known;
  private final Function<ControllerAddress, ManagedChannel> open;
  private final Runnable onClose;
  private int next;
  private ControllerAddress current;
  private @Nullable ManagedChannel channel;

  /**
   * @param known at least one; the first is dialled first
   * @param open opens a channel, which is closed here
   * @param onClose what is to end with the last channel
   */
  public Controllers(
      List<ControllerAddress> known,
      Function<ControllerAddress, ManagedChannel> open,
      Runnable onClose) {
    this.known = List.copyOf(known);
    this.open = open;
    this.onClose = onClose;
    this.current = this.known.getFirst();
    this.next = 1;
  }

  /** The channel to the present one, for a new try. */
  synchronized ManagedChannel dial() {
    ManagedChannel present = channel;
    if (present == null) {
      present = open.apply(current);
      channel = present;
    }
    // The transport's own back-off would add itself to the session's.
    present.resetConnectBackoff();
    return present;
  }

  /** The present one does not do: the next, if there is another. */
  synchronized void moveOn() {
    ControllerAddress left = current;
    for (int tries = 0; tries < known.size(); tries++) {
      turnTo(known.get(next % known.size()));
      next = next % known.size() + 1;
      if (!current.equals(left)) {
        return;
      }
    }
  }

  /** Whether the present one has answered as far as the transport goes. */
  synchronized boolean isConnected() {
    return channel != null && channel.getState(false) == ConnectivityState.READY;
  }

  /** This one leads. */
  synchronized void turnTo(ControllerAddress address) {
    if (!address.equals(current) && channel != null) {
      channel.shutdownNow();
      channel = null;
    }
    current = address;
  }

  /** Where the next try goes. */
  synchronized ControllerAddress current() {
    return current;
  }

  @Override
  public synchronized void close() {
    if (channel != null) {
      ControllerChannel.close(channel);
    }
    onClose.run();
  }
}
