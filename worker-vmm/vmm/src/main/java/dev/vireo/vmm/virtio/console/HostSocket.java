package dev.vireo.vmm.virtio.console;

import static java.util.Objects.requireNonNull;

import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.Poller;
import dev.vireo.linux.StreamSocket;
import dev.vireo.vmm.memory.IoVector;
import org.jspecify.annotations.Nullable;

/**
 * A port's socket on the host, and the client that has connected to it. It is told of by edges, and
 * remembers what they said.
 */
final class HostSocket implements AutoCloseable {
  /** That there is room to send is asked for only when there was none. */
  private static final int WATCHED =
      Poller.READABLE | Poller.PEER_SENDS_NO_MORE | Poller.EDGE_TRIGGERED;

  private static final int ENDS = Poller.PEER_SENDS_NO_MORE | Poller.HANG_UP | Poller.ERROR;

  private static final int LISTENED = Poller.READABLE | Poller.EDGE_TRIGGERED;

  private final Fd listener;
  private final int listenerKey;
  private final int key;
  private final ConsoleContext context;
  private @Nullable Poller poller;
  private boolean clientsWait;

  private volatile @Nullable Fd client;

  /** There may be something to receive. */
  private boolean readable;

  /** The end is somewhere in the socket, after what can be received. */
  private boolean endAnnounced;

  /** All that the client sends has been received. */
  private boolean ended;

  /** The client has closed, so it receives no more. */
  private boolean hungUp;

  private boolean full;

  /** Since when it is full, or, once the client has closed, since the guest took something. */
  private long sinceNanos;

  /**
   * @param listener non-blocking; owned
   * @param listenerKey by which the poller knows it
   * @param key by which the poller knows the client
   */
  HostSocket(Fd listener, int listenerKey, int key, ConsoleContext context) {
    this.listener = listener;
    this.listenerKey = listenerKey;
    this.key = key;
    this.context = context;
  }

  /** From now on clients are accepted. */
  void watchBy(Poller watcher) {
    poller = watcher;
    watcher.add(listener, LISTENED, listenerKey);
  }

  // ---- Clients. ----

  boolean isConnected() {
    return client != null;
  }

  /** The poller has news of the listener. */
  void clientsWait() {
    clientsWait = true;
  }

  /** Takes the next client, if one waits. */
  boolean accept() {
    if (!clientsWait) {
      return false;
    }
    clientsWait = false;
    int accepted = context.sockets().accept(listener);
    if (accepted >= 0) {
      return begin(Fd.owning(accepted));
    }
    if (accepted != -Errno.EAGAIN) {
      // It waits on, and is looked for again when something else has happened.
      clientsWait = true;
      context.count(ConsoleEvent.ERRORS_SOCKET);
    }
    return false;
  }

  private boolean begin(Fd accepted) {
    Poller watcher = requireNonNull(poller, "not watched");
    try {
      watcher.add(accepted, WATCHED, key);
      watcher.modify(listener, LISTENED, listenerKey); // Of another that waits it tells again.
    } catch (LinuxException e) {
      context.count(ConsoleEvent.ERRORS_SOCKET);
      accepted.close();
      return false;
    }
    context.count(ConsoleEvent.CLIENTS);
    client = accepted;
    readable = false;
    endAnnounced = false;
    ended = false;
    hungUp = false;
    full = false;
    return true;
  }

  /** The poller has news of the client. */
  void ready(int readiness) {
    if (client == null) {
      return;
    }
    readable |= (readiness & ~Poller.WRITABLE) != 0;
    endAnnounced |= (readiness & ENDS) != 0;
    if (!hungUp && (readiness & (Poller.HANG_UP | Poller.ERROR)) != 0) {
      hungUp = true;
      sinceNanos = context.now();
    }
    if (full && (hungUp || (readiness & Poller.WRITABLE) != 0)) {
      full = false;
      requireNonNull(poller).modify(client(), WATCHED, key);
    }
  }

  /** Finds that a client which has closed sent nothing more, though the guest takes nothing. */
  void lookForEnd(IoVector vector) {
    if (client != null && hungUp && !ended) {
      vector.clear();
      vector.add(context.byteOfOurs());
      long there = context.sockets().peek(client(), vector.address(), vector.count());
      // ECONNRESET: it has closed before it read all that was sent.
      ended = there == StreamSocket.END || (there < 0 && there != -Errno.EAGAIN);
    }
  }

  /** The client has closed and all that it sent is received. */
  boolean isDone() {
    return client != null && hungUp && ended;
  }

  /** The client has closed and the guest has not taken anything of the rest for too long. */
  boolean isLeftOver() {
    return client != null && hungUp && !ended && clientsWait && context.isOver(sinceNanos);
  }

  /** The client is none any more. */
  void release() {
    Fd leaving = client();
    client = null;
    // By closing alone it would stay watched for as long as another process has it open too.
    requireNonNull(poller).remove(leaving);
    leaving.close();
  }

  // ---- Bytes. ----

  boolean mayReceive() {
    return client != null && readable && !ended;
  }

  /**
   * Receives what there is, into all of {@code vector} at most.
   *
   * @return bytes; 0 if there are none now
   */
  long receive(IoVector vector) {
    long wanted = vector.bytes();
    long got = context.sockets().receive(client(), vector.address(), vector.count());
    if (got > 0) {
      // Fewer than there was room for: that was all, and what comes later is told of. But the end
      // may have been told of together with what was before it.
      readable = got == wanted || endAnnounced;
      sinceNanos = hungUp ? context.now() : sinceNanos;
      return got;
    }
    readable = false;
    if (got == StreamSocket.END) {
      ended = true;
    } else if (got != -Errno.EAGAIN) {
      ended = true;
      hungUp = true;
    }
    return 0;
  }

  /** Whether a client is there and what is sent may reach it, now or once it has read. */
  boolean takesOutput() {
    return client != null && !hungUp;
  }

  /** Whether the client has no room. */
  boolean isFull() {
    return full;
  }

  /** Whether the client has had no room for too long. */
  boolean isStuck() {
    return full && context.isOver(sinceNanos);
  }

  /**
   * Sends of {@code vector} what the client has room for.
   *
   * @return bytes
   */
  long send(IoVector vector) {
    long sent = context.sockets().send(client(), vector.address(), vector.count());
    if (sent >= 0) {
      context.count(ConsoleEvent.BYTES_TO_HOST, sent);
      return sent;
    }
    if (sent == -Errno.EAGAIN) {
      full = true;
      sinceNanos = context.now();
      context.count(ConsoleEvent.STALLS_OF_HOST);
      requireNonNull(poller).modify(client(), WATCHED | Poller.WRITABLE, key);
    } else {
      hungUp = true;
      endAnnounced = true;
      readable = true; // For what it sent before.
      sinceNanos = context.now();
    }
    return 0;
  }

  private Fd client() {
    return requireNonNull(client, "no client");
  }

  @Override
  public void close() {
    Fd leaving = client;
    if (leaving != null) {
      client = null;
      leaving.close();
    }
    listener.close();
  }
}
