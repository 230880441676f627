package dev.vireo.worker.network.dns;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.System.Logger.Level;
import java.net.Inet4Address;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * Questions by TCP, each behind its length (RFC 1035, section 4.2.2), one after the other on a
 * connection.
 */
final class TcpQuestions implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("dns");

  private static final int BACKLOG = 64;
  private static final int LONGEST_BYTES = 4096;

  /** Between two bytes of a guest. */
  private static final Duration IDLE = Duration.ofSeconds(5);

  private static final Duration ACCEPT_AGAIN = Duration.ofMillis(100);

  private static final int MOST_QUESTIONS = 100;

  private final ServerSocket listener = new ServerSocket();
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();
  private final GuestQueries queries;
  private final Budgets budgets;
  private final Consumer<String> events;

  /** At an address that is this node's by now. */
  TcpQuestions(
      InetSocketAddress address, GuestQueries queries, Budgets budgets, Consumer<String> events)
      throws IOException {
    this.queries = queries;
    this.budgets = budgets;
    this.events = events;
    try {
      listener.bind(address, BACKLOG);
    } catch (IOException | RuntimeException e) {
      listener.close();
      throw e;
    }
    Thread.ofPlatform().name("dns-tcp").daemon().start(this::run);
  }

  InetSocketAddress address() {
    return (InetSocketAddress) listener.getLocalSocketAddress();
  }

  private void run() {
    while (!listener.isClosed()) {
      try {
        take(listener.accept());
      } catch (IOException e) {
        LOG.log(Level.DEBUG, "dns: {0}", e.toString());
        // No descriptors, most likely. Whoever waits goes on waiting.
        LockSupport.parkNanos(ACCEPT_AGAIN.toNanos());
      }
    }
  }

  private void take(Socket socket) throws IOException {
    if (!(socket.getInetAddress() instanceof Inet4Address source) || !budgets.connect(source)) {
      events.accept("connections_dropped");
      socket.close();
      return;
    }
    open.add(socket);
    Thread.ofVirtual()
        .name("dns")
        .start(() -> {
          try (socket) {
            converse(socket, source);
          } catch (IOException e) {
            LOG.log(Level.DEBUG, "{0}: {1}", source, e.toString());
          } finally {
            open.remove(socket);
            budgets.ended(source);
          }
        });
  }

  private void converse(Socket socket, Inet4Address source) throws IOException {
    socket.setSoTimeout((int) IDLE.toMillis());
    DataInputStream in = new DataInputStream(socket.getInputStream());
    OutputStream out = socket.getOutputStream();
    for (int i = 0; i < MOST_QUESTIONS; i++) {
      int length = in.readUnsignedShort();
      if (length > LONGEST_BYTES || !budgets.ask(source)) {
        events.accept("queries_dropped");
        return;
      }
      Optional<byte[]> answer;
      try {
        answer = queries.answerByTcp(source, in.readNBytes(length));
      } finally {
        budgets.answered(source);
      }
      if (answer.isEmpty()) {
        return;
      }
      byte[] bytes = answer.get();
      out.write(
          ByteBuffer.allocate(Short.BYTES + bytes.length)
              .putShort((short) bytes.length)
              .put(bytes)
              .array());
    }
  }

  @Override
  public void close() {
    try {
      listener.close();
      for (Socket socket : open) {
        socket.close();
      }
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "dns: {0}", e.toString());
    }
  }
}
