package dev.vireo.controller.server;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.common.util.concurrent.ListenableFuture;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class UnixSocketServerTest {
  @TempDir private Path directory;

  private final EventLoopGroup eventLoop = new NioEventLoopGroup(1);

  @AfterEach
  void endEventLoop() {
    eventLoop.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
  }

  private Path path() {
    return directory.resolve("controller.sock");
  }

  private UnixSocketServer start() {
    return UnixSocketServer.start(path(), List.of(), List.of());
  }

  @Test
  void itAnswersAndLeavesNothingBehind() throws IOException {
    try (UnixSocketServer _ = start()) {
      connect().close();
    }
    assertFalse(Files.exists(path()));
  }

  @Test
  void aClientIsNoReasonForAWarning() throws Exception {
    List<LogRecord> warnings = new CopyOnWriteArrayList<>();
    Handler listener = new Warnings(warnings);
    Logger netty = Logger.getLogger("io.netty.bootstrap.ServerBootstrap");
    netty.addHandler(listener);
    var nodes = new SlowNodes();
    nodes.mayAnswer.countDown();
    ManagedChannel channel = channel();
    try (UnixSocketServer _ = UnixSocketServer.start(path(), List.of(nodes), List.of())) {
      Node _ =
          NodeServiceGrpc.newBlockingStub(channel).getNode(GetNodeRequest.getDefaultInstance());
    } finally {
      channel.shutdownNow();
      netty.removeHandler(listener);
    }
    assertEquals(List.of(), warnings.stream().map(LogRecord::getMessage).toList());
  }

  private static final class Warnings extends Handler {
    private final List<LogRecord> heard;

    Warnings(List<LogRecord> heard) {
      this.heard = heard;
      setLevel(Level.WARNING);
    }

    @Override
    public void publish(LogRecord record) {
      heard.add(record);
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }

  @Test
  void whatADeadOneLeftIsReplaced() throws IOException {
    bindAndDie();
    assertTrue(Files.exists(path()));

    try (UnixSocketServer _ = start()) {
      connect().close();
    }
  }

  @Test
  void aLiveOneIsLeftAlone() throws IOException {
    try (UnixSocketServer _ = start()) {
      StartupException refused = assertThrows(StartupException.class, this::start);
      assertTrue(String.valueOf(refused.getMessage()).contains("another process"));
      connect().close();
    }
  }

  @Test
  void whatIsNoSocketIsLeftAlone() throws IOException {
    Files.writeString(path(), "precious");

    assertThrows(StartupException.class, this::start);
    assertEquals("precious", Files.readString(path()));
  }

  @Test
  void aCallAtHandIsAnsweredBeforeItCloses() throws Exception {
    var slow = new SlowNodes();
    UnixSocketServer server = UnixSocketServer.start(path(), List.of(slow), List.of());
    ManagedChannel channel = channel();
    try {
      ListenableFuture<Node> answer =
          NodeServiceGrpc.newFutureStub(channel).getNode(GetNodeRequest.getDefaultInstance());
      assertTrue(slow.called.await(10, TimeUnit.SECONDS));
      Thread closing = Thread.ofVirtual().start(server::close);
      await().until(() -> closing.getState() == Thread.State.TIMED_WAITING);
      slow.mayAnswer.countDown();

      assertEquals(Node.getDefaultInstance(), answer.get(10, TimeUnit.SECONDS));
      closing.join();
    } finally {
      channel.shutdownNow();
      server.close();
    }
  }

  private static final class SlowNodes extends NodeServiceGrpc.NodeServiceImplBase {
    final CountDownLatch called = new CountDownLatch(1);
    final CountDownLatch mayAnswer = new CountDownLatch(1);

    @Override
    public void getNode(GetNodeRequest request, StreamObserver<Node> client) {
      called.countDown();
      try {
        mayAnswer.await();
        client.onNext(Node.getDefaultInstance());
        client.onCompleted();
      } catch (InterruptedException e) {
        client.onError(Status.ABORTED.asRuntimeException());
      }
    }
  }

  private ManagedChannel channel() {
    return NettyChannelBuilder.forAddress(UnixDomainSocketAddress.of(path()))
        .channelType(NioDomainSocketChannel.class, UnixDomainSocketAddress.class)
        .eventLoopGroup(eventLoop)
        .usePlaintext()
        .build();
  }

  private SocketChannel connect() throws IOException {
    return SocketChannel.open(UnixDomainSocketAddress.of(path()));
  }

  /** Closing a channel leaves its file, as a kill does. */
  private void bindAndDie() throws IOException {
    try (ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      channel.bind(UnixDomainSocketAddress.of(path()));
    }
  }
}
