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
import java.util.List;
import java.util.concurrent.Future;

/** The transport to controllers: HTTP/2 over TCP or a unix socket, on one event-loop thread. */
public final class ControllerChannel {
  /** A controller that vanished without a word is noticed within these two together. */
  private static final int KEEP_ALIVE_SECONDS = 20;

  private static final int KEEP_ALIVE_TIMEOUT_SECONDS = 10;

  /** A Welcome names everything that the node should run, with its user data. */
  private static final int LARGEST_MESSAGE_BYTES = 256 << 20;

  /**
   * What a tunnel whose reader waits may hold here: enough for a wire of a gigabit and 2 ms. Fixed,
   * for gRPC would let it grow to 8 MiB, and there are thousands.
   */
  private static final int STREAM_WINDOW_BYTES = 256 << 10;

  private ControllerChannel() {}

  /** Those at these addresses, of which one is dialled at a time. */
  public static Controllers to(List<ControllerAddress> addresses) {
    EventLoopGroup eventLoop =
        new NioEventLoopGroup(1, new DefaultThreadFactory("controller", true));
    return new Controllers(
        addresses,
        address -> to(address, eventLoop),
        () -> {
          Future<?> _ = eventLoop.shutdownGracefully(0, 1, SECONDS);
        });
  }

  /** Ends a channel, once what was said last has been sent. */
  static void close(ManagedChannel channel) {
    channel.shutdown();
    try {
      if (!channel.awaitTermination(1, SECONDS)) {
        channel.shutdownNow();
      }
    } catch (InterruptedException e) {
      channel.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }

  private static ManagedChannel to(ControllerAddress address, EventLoopGroup eventLoop) {
    NettyChannelBuilder builder =
        switch (address) {
          case ControllerAddress.Tcp(String host, int port) ->
              NettyChannelBuilder.forAddress(host, port).channelType(NioSocketChannel.class);
          case ControllerAddress.Unix(var path) ->
              NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(path))
                  .channelType(NioDomainSocketChannel.class)
                  .overrideAuthority("localhost");
        };
    return builder
        .eventLoopGroup(eventLoop)
        .directExecutor()
        .usePlaintext()
        .disableRetry()
        .flowControlWindow(STREAM_WINDOW_BYTES)
        .keepAliveTime(KEEP_ALIVE_SECONDS, SECONDS)
        .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, SECONDS)
        .maxInboundMessageSize(LARGEST_MESSAGE_BYTES)
        .build();
  }
}
