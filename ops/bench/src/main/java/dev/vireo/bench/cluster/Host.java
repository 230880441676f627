package dev.vireo.bench.cluster;

import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.List;

/** The network stack in which a process of a cluster runs. */
public interface Host {
  /** That of this JVM, where all processes share the loopback address. */
  Host LOOPBACK = new Loopback();

  /** Where processes of other hosts reach those of this one, which listen on 127.0.0.1. */
  String address();

  /** The command that runs this one there. */
  List<String> command(List<String> command);

  /** A connection to a port of its loopback address, from within. */
  Socket connect(int port) throws IOException;

  /** A channel whose connections begin there. */
  ManagedChannel channel(String address, int port);

  /** See {@link #LOOPBACK}. */
  final class Loopback implements Host {
    private Loopback() {}

    @Override
    public String address() {
      return "127.0.0.1";
    }

    @Override
    public List<String> command(List<String> command) {
      return command;
    }

    @Override
    public Socket connect(int port) throws IOException {
      Socket socket = new Socket();
      socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
      return socket;
    }

    @Override
    public ManagedChannel channel(String address, int port) {
      return NettyChannelBuilder.forAddress(address, port).usePlaintext().build();
    }
  }
}
