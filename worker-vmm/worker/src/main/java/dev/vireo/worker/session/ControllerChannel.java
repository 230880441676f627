package dev.vireo.worker.session;

import static java.util.concurrent.TimeUnit.SECONDS;

import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.net.UnixDomainSocketAddress;

/** The transport to a controller: HTTP/2 over TCP or a unix socket, on one event-loop thread. */
public final class ControllerChannel {
  /** A controller that vanished without a word is noticed within these two together. */
  private static final int KEEP_ALIVE_SECONDS = 20;

  private static final int KEEP_ALIVE_TIMEOUT_SECONDS = 10;

  /** A Welcome names everything that the node should run. */
  private static final int LARGEST_MESSAGE_BYTES = 64 << 20;

  private ControllerChannel() {}

  /** Makes a channel that dials when it is first used. Its one thread ends with it. */
  public static ManagedChannel to(ControllerAddress address) {
    EventLoopGroup eventLoop =
        new NioEventLoopGroup(1, new DefaultThreadFactory("controller", true));
    NettyChannelBuilder builder =
        switch (address) {
          case ControllerAddress.Tcp(String host, int port) ->
              NettyChannelBuilder.forAddress(host, port).channelType(NioSocketChannel.class);
          case ControllerAddress.Unix(var path) ->
              NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(path))
                  .channelType(NioDomainSocketChannel.class)
                  .overrideAuthority("localhost");
        };
    ManagedChannel channel =
        builder
            .eventLoopGroup(eventLoop)
            .directExecutor()
            .usePlaintext()
            .disableRetry()
            .keepAliveTime(KEEP_ALIVE_SECONDS, SECONDS)
            .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, SECONDS)
            .maxInboundMessageSize(LARGEST_MESSAGE_BYTES)
            .build();
    return channel;
  }
}
