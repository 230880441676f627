package dev.vireo.worker.metadata;

import dev.vireo.worker.time.Pace;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.ServerChannelRecvByteBufAllocator;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.handler.codec.http.HttpDecoderConfig;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.util.concurrent.GlobalEventExecutor;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.Consumer;
import java.util.random.RandomGenerator;

/**
 * The metadata service of one guest: an HTTP server on the unix socket to which its VMM carries the
 * guest's connections. A connection is one request long, and short; there are few at a time, and so
 * many a second. More wait where they are, with the guest.
 */
final class MetadataServer implements MetadataService {
  private static final System.Logger LOG = System.getLogger("metadata");

  static final int MOST_CONNECTIONS = 32;
  static final int BURST = 64;
  static final Duration INTERVAL = Duration.ofMillis(10);

  /** From its beginning to its end, whatever the guest does in between. */
  static final Duration LONGEST_CONNECTION = Duration.ofSeconds(10);

  private static final int BACKLOG = 64;
  private static final int LONGEST_LINE_BYTES = 2 << 10;
  private static final int LONGEST_HEADERS_BYTES = 8 << 10;

  private static final int READ_BYTES = 2 << 10;

  private final Path socket;
  private final MetadataPages pages;
  private final SessionTokens tokens;
  private final Time time;
  private final Consumer<String> events;
  private final Channel listener;

  // Touched in the event loop only.
  private final ChannelGroup open = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);
  private final Pace pace;
  private boolean isAccepting;

  private MetadataServer(
      Path socket,
      MetadataPages pages,
      RandomGenerator random,
      Time time,
      Consumer<String> events,
      EventLoopGroup loop)
      throws IOException {
    this.socket = socket;
    this.pages = pages;
    this.tokens = new SessionTokens(random, time);
    this.time = time;
    this.events = events;
    this.pace = new Pace(time, INTERVAL, BURST);
    this.listener = bind(loop);
  }

  /**
   * Begins to serve. What an earlier worker left of the socket is replaced.
   *
   * @param loop of one thread
   * @throws IOException if the socket cannot be made
   */
  static MetadataServer open(
      Path socket,
      MetadataPages pages,
      RandomGenerator random,
      Time time,
      Consumer<String> events,
      EventLoopGroup loop)
      throws IOException {
    MetadataServer server = new MetadataServer(socket, pages, random, time, events, loop);
    server.listener.eventLoop().execute(server::acceptNext);
    return server;
  }

  private Channel bind(EventLoopGroup loop) throws IOException {
    Files.deleteIfExists(socket);
    var bound =
        new ServerBootstrap()
            .group(loop)
            .channel(NioServerDomainSocketChannel.class)
            .option(ChannelOption.SO_BACKLOG, BACKLOG)
            .option(ChannelOption.AUTO_READ, false)
            .option(ChannelOption.RCVBUF_ALLOCATOR, new ServerChannelRecvByteBufAllocator())
            .handler(new Accepting())
            .childOption(
                ChannelOption.RCVBUF_ALLOCATOR,
                new FixedRecvByteBufAllocator(READ_BYTES).maxMessagesPerRead(1))
            .childHandler(
                new ChannelInitializer<>() {
                  @Override
                  protected void initChannel(Channel channel) {
                    accepted(channel);
                  }
                })
            .bind(UnixDomainSocketAddress.of(socket))
            .awaitUninterruptibly();
    if (!bound.isSuccess()) {
      throw new IOException("cannot listen on " + socket, bound.cause());
    }
    return bound.channel();
  }

  /** Each look for connections ends here, whether it found one or failed. */
  private final class Accepting extends ChannelInboundHandlerAdapter {
    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
      isAccepting = false;
      acceptNext();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable why) {
      LOG.log(Level.DEBUG, "{0}: {1}", socket, why.toString());
      events.accept("connections_failed");
    }
  }

  private void acceptNext() {
    if (isAccepting || open.size() >= MOST_CONNECTIONS) {
      return;
    }
    isAccepting = true;
    Duration wait = pace.take();
    if (wait.isZero()) {
      var _ = listener.read();
    } else {
      events.accept("connections_delayed");
      var _ = time.after(wait, listener::read);
    }
  }

  private void accepted(Channel channel) {
    events.accept("connections");
    open.add(channel);
    Alarm late = time.after(LONGEST_CONNECTION, () -> endLate(channel));
    var _ =
        channel
            .closeFuture()
            .addListener(_ -> {
              late.cancel();
              open.remove(channel);
              acceptNext();
            });
    channel
        .pipeline()
        .addLast(
            new HttpServerCodec(
                new HttpDecoderConfig()
                    .setMaxInitialLineLength(LONGEST_LINE_BYTES)
                    .setMaxHeaderSize(LONGEST_HEADERS_BYTES)),
            new MetadataHandler(pages, tokens, events));
  }

  private void endLate(Channel channel) {
    events.accept("connections_timed_out");
    var _ = channel.close();
  }

  @Override
  public void close() {
    if (!listener.eventLoop().isShuttingDown()) {
      listener.close().awaitUninterruptibly();
      listener
          .eventLoop()
          .execute(() -> {
            var _ = open.close();
          });
    }
    try {
      Files.deleteIfExists(socket);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot remove {0}: {1}", socket, e.toString());
    }
  }
}
