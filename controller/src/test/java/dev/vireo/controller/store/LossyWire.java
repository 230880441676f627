package dev.vireo.controller.store;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** A wire to a server on loopback that can lose what goes either way, and break. */
final class LossyWire implements AutoCloseable {
  private final ServerSocket listener;
  private final URI server;
  private final List<Connection> connections = new CopyOnWriteArrayList<>();
  private volatile boolean dead;

  LossyWire(URI server) {
    this.server = server;
    try {
      listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Thread.ofVirtual().start(this::accept);
  }

  URI endpoint() {
    return URI.create("http://127.0.0.1:" + listener.getLocalPort());
  }

  /** From now on the connections there are lose what the server answers. */
  void loseAnswers() {
    connections.forEach(connection -> connection.answersLost = true);
  }

  /** From now on the connections there are lose what the client asks. */
  void loseRequests() {
    connections.forEach(connection -> connection.requestsLost = true);
  }

  /** From now on whatever is sent is lost, and whoever connects is not answered either. */
  void goDead() {
    dead = true;
    loseRequests();
  }

  /** Breaks the connections there are; those to come are whole. */
  void cut() {
    connections.forEach(Connection::close);
    connections.clear();
  }

  private void accept() {
    try {
      while (true) {
        Socket client = listener.accept();
        Connection connection =
            new Connection(client, new Socket(InetAddress.getLoopbackAddress(), server.getPort()));
        connection.requestsLost = dead;
        connections.add(connection);
        connection.start();
      }
    } catch (IOException e) {
      // Closed.
    }
  }

  @Override
  public void close() throws IOException {
    listener.close();
    cut();
  }

  private static final class Connection {
    private final Socket client;
    private final Socket server;
    private volatile boolean requestsLost;
    private volatile boolean answersLost;

    Connection(Socket client, Socket server) {
      this.client = client;
      this.server = server;
    }

    void start() {
      Thread.ofVirtual().start(() -> carry(client, server, true));
      Thread.ofVirtual().start(() -> carry(server, client, false));
    }

    private void carry(Socket from, Socket to, boolean requests) {
      byte[] buffer = new byte[1 << 16];
      try (InputStream in = from.getInputStream();
          OutputStream out = to.getOutputStream()) {
        for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
          if (!(requests ? requestsLost : answersLost)) {
            out.write(buffer, 0, read);
          }
        }
      } catch (IOException e) {
        // Broken, as it should be.
      } finally {
        close();
      }
    }

    void close() {
      try (client;
          server) {
        // Both.
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
