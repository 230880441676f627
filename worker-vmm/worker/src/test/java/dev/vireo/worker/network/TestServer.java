package dev.vireo.worker.network;

import dev.vireo.linux.testing.NetworkNamespace;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/** Accepts connections at a TCP port of a namespace, and sends datagrams back at the UDP port. */
final class TestServer implements AutoCloseable {
  private final ServerSocketChannel listener;
  private final DatagramSocket datagrams;

  /** The addresses of who has connected. */
  final BlockingQueue<String> clients = new LinkedBlockingQueue<>();

  /** And of who has sent a datagram. */
  final BlockingQueue<String> senders = new LinkedBlockingQueue<>();

  TestServer(NetworkNamespace where, String address, int port) {
    this.listener =
        where.call(() ->
            ServerSocketChannel.open(StandardProtocolFamily.INET)
                .bind(new InetSocketAddress(address, port)));
    this.datagrams = where.call(() -> new DatagramSocket(new InetSocketAddress(address, port)));
    Thread.ofVirtual().start(this::accept);
    Thread.ofPlatform().daemon().start(this::echo);
  }

  private void accept() {
    try {
      while (true) {
        try (Socket client = listener.accept().socket()) {
          clients.add(client.getInetAddress().getHostAddress());
        }
      }
    } catch (IOException e) {
      // It is closed.
    }
  }

  private void echo() {
    try {
      while (true) {
        DatagramPacket packet = new DatagramPacket(new byte[64], 64);
        datagrams.receive(packet);
        senders.add(packet.getAddress().getHostAddress());
        datagrams.send(packet);
      }
    } catch (IOException e) {
      // It is closed.
    }
  }

  @Override
  public void close() throws IOException {
    listener.close();
    datagrams.close();
  }
}
