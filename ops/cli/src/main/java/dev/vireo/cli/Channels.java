package dev.vireo.cli;

import static java.util.concurrent.TimeUnit.SECONDS;

import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.util.List;
import java.util.concurrent.ThreadFactory;

/** gRPC channels with as little machinery as one short-lived client needs. */
final class Channels {
  /** Consoles come in chunks of at most 1 MiB; a list page of 1,000 microVMs is about 2 MiB. */
  private static final int MAX_MESSAGE_BYTES = 16 << 20;

  /** A watch or a trace hears nothing of a controller whose host is gone, unless it asks. */
  private static final int KEEP_ALIVE_SECONDS = 20;

  private static final int KEEP_ALIVE_TIMEOUT_SECONDS = 10;

  private static final ThreadFactory DAEMON_THREADS = new DefaultThreadFactory("grpc", true);

  private Channels() {}

  static ManagedChannel open(ServerAddress address) {
    return switch (address) {
      case ServerAddress.AnyOf(var addresses) ->
          new FailoverChannel(addresses.stream().map(Channels::openOne).toList());
      case ServerAddress.UnixSocket _, ServerAddress.Tcp _ ->
          new FailoverChannel(List.of(openOne(address)));
    };
  }

  private static ManagedChannel openOne(ServerAddress address) {
    NettyChannelBuilder builder =
        switch (address) {
          case ServerAddress.AnyOf several ->
              throw new IllegalArgumentException("several addresses: " + several);
          case ServerAddress.UnixSocket(var path) -> {
            EventLoopGroup loop = new EpollEventLoopGroup(1, DAEMON_THREADS);
            yield NettyChannelBuilder.forAddress(new DomainSocketAddress(path.toString()))
                .eventLoopGroup(loop)
                .channelType(EpollDomainSocketChannel.class, DomainSocketAddress.class)
                .overrideAuthority("localhost");
          }
          case ServerAddress.Tcp(var host, var port) -> {
            EventLoopGroup loop = new NioEventLoopGroup(1, DAEMON_THREADS);
            yield NettyChannelBuilder.forAddress(host, port)
                .eventLoopGroup(loop)
                .channelType(NioSocketChannel.class);
          }
        };
    return builder
        .usePlaintext()
        .directExecutor()
        .maxInboundMessageSize(MAX_MESSAGE_BYTES)
        .keepAliveTime(KEEP_ALIVE_SECONDS, SECONDS)
        .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, SECONDS)
        .build();
  }
}
