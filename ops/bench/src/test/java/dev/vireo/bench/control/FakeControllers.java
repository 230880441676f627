package dev.vireo.bench.control;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import io.grpc.BindableService;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Servers on loopback that stand in for controllers, and connections to them. */
final class FakeControllers implements AutoCloseable {
  private final List<Server> servers = new ArrayList<>();
  private final List<ManagedChannel> channels = new ArrayList<>();

  /** Starts one more; returns its address. */
  String add(BindableService service) throws IOException {
    Server server =
        NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
            .addService(service)
            .build()
            .start();
    servers.add(server);
    String address = "127.0.0.1:" + server.getPort();
    channels.add(NettyChannelBuilder.forTarget(address).usePlaintext().build());
    return address;
  }

  List<ManagedChannel> channels() {
    return channels;
  }

  /** What a controller says that does not lead. */
  static Throwable notLeader(String leader) {
    return Errors.of(ErrorReason.NOT_LEADER, "another one leads", Map.of("leader", leader));
  }

  @Override
  public void close() {
    channels.forEach(ManagedChannel::shutdownNow);
    servers.forEach(Server::shutdownNow);
  }
}
