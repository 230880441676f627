package dev.vireo.worker.agent.program;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** A microVM's vsock socket, as a VMM has it, with an agent of this host behind every port. */
final class VsockBridge implements Closeable {
  private final ServerSocketChannel server;
  private final Agent agent;

  VsockBridge(Path socket, Agent agent) throws IOException {
    this.agent = agent;
    this.server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(socket));
    Thread.ofVirtual().start(this::accept);
  }

  private void accept() {
    while (server.isOpen()) {
      try {
        SocketChannel host = server.accept();
        Thread.ofVirtual().start(() -> carry(host));
      } catch (IOException e) {
        // The test is over.
      }
    }
  }

  private void carry(SocketChannel host) {
    try (host;
        Talk guest = agent.connect()) {
      InputStream in = Channels.newInputStream(host);
      while (in.read() != '\n') {
        // "CONNECT 52".
      }
      OutputStream out = Channels.newOutputStream(host);
      out.write("OK 1073741824\n".getBytes(StandardCharsets.US_ASCII));
      Thread.ofVirtual().start(() -> copy(in, guest.output(), guest, host));
      copy(guest.input(), out, guest, host);
    } catch (IOException e) {
      // One of them has gone, and takes the other along.
    }
  }

  private static void copy(InputStream from, OutputStream to, Closeable one, Closeable other) {
    try (one;
        other) {
      from.transferTo(to);
    } catch (IOException e) {
      // One of them has gone, and takes the other along.
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
  }
}
