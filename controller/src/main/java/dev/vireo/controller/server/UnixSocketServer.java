package dev.vireo.controller.server;

import io.grpc.BindableService;
import io.grpc.Server;
import io.grpc.ServerInterceptor;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.protobuf.services.ProtoReflectionServiceV1;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * The same services on a unix socket that only its owner can open: for the command line on the same
 * machine, where no port has to be known.
 */
public final class UnixSocketServer implements AutoCloseable {
  private static final long CLOSE_SECONDS = 2;

  /** Streams do not end by themselves: with one open, a stop takes this long. */
  private static final long ANSWER_MILLIS = 500;

  /** Half of what workers keep; also application.properties, for the port. */
  private static final long LEAST_KEEP_ALIVE_SECONDS = 10;

  private final Path path;
  private final EventLoopGroup eventLoop;
  private final ExecutorService calls;
  private final Server server;

  private UnixSocketServer(
      Path path, EventLoopGroup eventLoop, ExecutorService calls, Server server) {
    this.path = path;
    this.eventLoop = eventLoop;
    this.calls = calls;
    this.server = server;
  }

  /**
   * Listens. A socket that a dead controller left is removed; one that answers is not, and nothing
   * that is not a socket.
   *
   * @param path in a directory that only its owner can enter
   */
  public static UnixSocketServer start(
      Path path, List<? extends BindableService> services, List<ServerInterceptor> interceptors) {
    EventLoopGroup eventLoop = new NioEventLoopGroup(1);
    ExecutorService calls = Executors.newVirtualThreadPerTaskExecutor();
    HealthStatusManager health = new HealthStatusManager();
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(UnixDomainSocketAddress.of(path))
            .channelType(NioServerDomainSocketChannel.class)
            .bossEventLoopGroup(eventLoop)
            .workerEventLoopGroup(eventLoop)
            .executor(calls)
            // Which gRPC asks of every socket, and Netty warns that this kind has no such option.
            .withChildOption(ChannelOption.SO_KEEPALIVE, null)
            .permitKeepAliveTime(LEAST_KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
            .addService(health.getHealthService())
            .addService(ProtoReflectionServiceV1.newInstance());
    services.forEach(builder::addService);
    interceptors.forEach(builder::intercept);
    UnixSocketServer server = new UnixSocketServer(path, eventLoop, calls, builder.build());
    try {
      removeStale(path);
      server.server.start();
      Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
      return server;
    } catch (IOException e) {
      server.close();
      throw new StartupException("cannot listen on %s: %s".formatted(path, e.getMessage()), e);
    }
  }

  private static void removeStale(Path path) throws IOException {
    if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    if (!isSocket(path)) {
      throw new StartupException(
          "cannot listen on %s: it exists and is not a socket; move it away".formatted(path));
    }
    try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      probe.connect(UnixDomainSocketAddress.of(path));
    } catch (ConnectException e) {
      Files.delete(path);
      return;
    }
    throw new StartupException(
        "cannot listen on %s: another process does; stop it first".formatted(path));
  }

  /** {@code S_ISSOCK} of {@code sys/stat.h}. */
  private static boolean isSocket(Path path) throws IOException {
    int mode = (int) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
    return (mode & 0xf000) == 0xc000;
  }

  /** Takes no more calls, gives those at hand the time to be answered, and ends the rest. */
  @Override
  public void close() {
    server.shutdown();
    try {
      if (!server.awaitTermination(ANSWER_MILLIS, TimeUnit.MILLISECONDS)) {
        server.shutdownNow();
        server.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
      }
      Files.deleteIfExists(path);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      // The next controller removes it as stale.
    }
    calls.shutdownNow();
    eventLoop.shutdownGracefully(0, CLOSE_SECONDS, TimeUnit.SECONDS).syncUninterruptibly();
  }
}
