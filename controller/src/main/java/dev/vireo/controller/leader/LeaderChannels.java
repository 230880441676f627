package dev.vireo.controller.leader;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import io.grpc.ClientInterceptor;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.net.UnixDomainSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The connection to whoever leads. Calls to one who leads no more have a moment to be answered, and
 * then fail: it may have been stopped, and would be waited for without end.
 */
public final class LeaderChannels implements AutoCloseable {
  private static final Duration LAST_ANSWERS = Duration.ofSeconds(1);

  /** A list page of 1,000 microVMs is about 2 MiB. */
  private static final int LARGEST_MESSAGE_BYTES = 16 << 20;

  private static final int KEEP_ALIVE_SECONDS = 10;
  private static final int KEEP_ALIVE_TIMEOUT_SECONDS = 5;

  private final Function<String, ManagedChannel> open;
  private final Runnable onClose;
  private @Nullable ManagedChannel current;
  private String address = "";
  private volatile boolean closed;

  private LeaderChannels(Function<String, ManagedChannel> open, Runnable onClose) {
    this.open = open;
    this.onClose = onClose;
  }

  /**
   * Over what a test has.
   *
   * @param open opens a channel to a controller's address
   */
  public static LeaderChannels by(Function<String, ManagedChannel> open) {
    return new LeaderChannels(open, () -> {});
  }

  /**
   * Over TCP and unix sockets.
   *
   * @param interceptors of the calls
   */
  public static LeaderChannels ofNetwork(Executor threads, List<ClientInterceptor> interceptors) {
    EventLoopGroup eventLoop = new NioEventLoopGroup(1, new DefaultThreadFactory("leader", true));
    return new LeaderChannels(
        address -> open(address, eventLoop, threads, interceptors),
        () -> {
          Future<?> _ = eventLoop.shutdownGracefully(0, 1, SECONDS);
        });
  }

  /** Another leads, or nobody. Does not block. */
  synchronized void follow(Optional<String> leader) {
    if (!leader.equals(Optional.of(address))) {
      leave();
    }
  }

  /**
   * To this one. Once this is closed the channel takes no calls: they fail as those to one who
   * cannot be reached.
   */
  synchronized ManagedChannel to(String leader) {
    ManagedChannel known = current;
    if (known != null && leader.equals(address)) {
      // Its own back-off would add itself to ours.
      known.resetConnectBackoff();
      return known;
    }
    leave();
    ManagedChannel opened = open.apply(leader);
    if (closed) {
      // It has no event loop any more, which gRPC would call a bug, and tell the client so.
      return opened.shutdownNow();
    }
    current = opened;
    address = leader;
    return opened;
  }

  private void leave() {
    ManagedChannel left = current;
    if (left != null) {
      current = null;
      address = "";
      left.shutdown();
      Thread.ofVirtual().name("leave-leader").start(() -> end(left));
    }
  }

  private static void end(ManagedChannel channel) {
    try {
      channel.awaitTermination(LAST_ANSWERS.toMillis(), MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    channel.shutdownNow();
  }

  private static ManagedChannel open(
      String address,
      EventLoopGroup eventLoop,
      Executor threads,
      List<ClientInterceptor> interceptors) {
    NettyChannelBuilder builder;
    if (address.startsWith("unix:")) {
      builder =
          NettyChannelBuilder.forAddress(
                  UnixDomainSocketAddress.of(address.substring("unix:".length())))
              .channelType(NioDomainSocketChannel.class)
              // As in UnixSocketServer.
              .withOption(ChannelOption.SO_KEEPALIVE, null)
              .overrideAuthority("localhost");
    } else {
      int colon = address.lastIndexOf(':');
      String host = address.substring(0, colon).replaceAll("[\\[\\]]", "");
      builder =
          NettyChannelBuilder.forAddress(host, Integer.parseInt(address.substring(colon + 1)))
              .channelType(NioSocketChannel.class);
    }
    return builder
        .eventLoopGroup(eventLoop)
        .executor(threads)
        .intercept(interceptors)
        .usePlaintext()
        .disableRetry()
        .keepAliveTime(KEEP_ALIVE_SECONDS, SECONDS)
        .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, SECONDS)
        .maxInboundMessageSize(LARGEST_MESSAGE_BYTES)
        .build();
  }

  /** Whether this controller stops. */
  boolean isClosed() {
    return closed;
  }

  @Override
  public synchronized void close() {
    closed = true;
    if (current != null) {
      current.shutdownNow();
      current = null;
    }
    onClose.run();
  }
}
