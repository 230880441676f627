package dev.vireo.worker.session;

import com.google.protobuf.Duration;
import dev.vireo.proto.worker.v1.Alive;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.Removal;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import io.grpc.Server;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** A controller with one worker: a real gRPC server with a desired state that a test writes. */
public final class FakeController implements AutoCloseable {
  private final EventLoopGroup eventLoop = new NioEventLoopGroup(1);
  private final List<WorkerMessage> received = new CopyOnWriteArrayList<>();
  private final List<Tunnel> tunnels = new CopyOnWriteArrayList<>();
  private final Map<String, Assignment> desired = new LinkedHashMap<>();
  private final Server server;
  private int leaseMillis = 30_000;
  private boolean welcoming = true;
  private boolean answeringHeartbeats;
  private @Nullable StatusRuntimeException refusal;
  private @Nullable StreamObserver<ControllerMessage> worker;

  private FakeController(SocketAddress address) throws IOException {
    boolean unix = address instanceof UnixDomainSocketAddress;
    server =
        NettyServerBuilder.forAddress(address)
            .channelType(unix ? NioServerDomainSocketChannel.class : NioServerSocketChannel.class)
            .bossEventLoopGroup(eventLoop)
            .workerEventLoopGroup(eventLoop)
            .directExecutor()
            .addService(new Service())
            .build()
            .start();
  }

  /** On a loopback port that is free. */
  public static FakeController onLoopback() throws IOException {
    return onPort(0);
  }

  /** On this loopback port. */
  public static FakeController onPort(int port) throws IOException {
    return new FakeController(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
  }

  /** On a unix socket. */
  public static FakeController onSocket(Path path) throws IOException {
    return new FakeController(UnixDomainSocketAddress.of(path));
  }

  public int port() {
    return server.getPort();
  }

  public ControllerAddress address() {
    return new ControllerAddress.Tcp("127.0.0.1", port());
  }

  /** For the next Welcome. */
  public synchronized void lease(int millis) {
    leaseMillis = millis;
  }

  /** From now on a Hello is left without an answer. */
  public synchronized void withholdWelcome() {
    welcoming = false;
  }

  /** From now on every Hello is refused so. */
  public synchronized void refuse(StatusRuntimeException why) {
    refusal = why;
  }

  /** Whether heartbeats are answered from now on. */
  public synchronized void answerHeartbeats(boolean answering) {
    answeringHeartbeats = answering;
  }

  /** Wants this to run, and says so if a worker listens. */
  public synchronized void assign(Assignment assignment) {
    desired.put(assignment.getUid(), assignment);
    send(
        ControllerMessage.newBuilder()
            .setDesiredChange(DesiredChange.newBuilder().setUpsert(assignment))
            .build());
  }

  /** Wants it gone. */
  public synchronized void remove(String uid, boolean force) {
    desired.remove(uid);
    send(
        ControllerMessage.newBuilder()
            .setDesiredChange(
                DesiredChange.newBuilder()
                    .setRemove(Removal.newBuilder().setUid(uid).setForce(force)))
            .build());
  }

  /** Wants it gone, and lets the worker find out by itself. */
  public synchronized void forget(String uid) {
    desired.remove(uid);
  }

  public synchronized void send(ControllerMessage message) {
    if (worker != null) {
      worker.onNext(message);
    }
  }

  /** Ends the session from this side. */
  public synchronized void hangUp() {
    if (worker != null) {
      worker.onCompleted();
      worker = null;
    }
  }

  /** All that came, in order. */
  public List<WorkerMessage> received() {
    return received;
  }

  /** The tunnels that were dialled. */
  public List<Tunnel> tunnels() {
    return tunnels;
  }

  /** The last report about this microVM, in a Hello or by itself. */
  public Optional<MicroVmReport> lastReport(String uid) {
    Optional<MicroVmReport> last = Optional.empty();
    for (WorkerMessage message : received) {
      if (message.hasReport() && message.getReport().getUid().equals(uid)) {
        last = Optional.of(message.getReport());
      }
      if (message.hasHello()) {
        last =
            message.getHello().getReportsList().stream()
                .filter(report -> report.getUid().equals(uid))
                .findFirst();
      }
    }
    return last;
  }

  @Override
  public void close() {
    server.shutdownNow();
    eventLoop.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly();
  }

  private final class Service extends WorkerServiceGrpc.WorkerServiceImplBase {
    @Override
    public StreamObserver<WorkerMessage> session(StreamObserver<ControllerMessage> toWorker) {
      return new Receiver(toWorker);
    }

    @Override
    public StreamObserver<TunnelUp> tunnel(StreamObserver<TunnelDown> toWorker) {
      Tunnel tunnel = new Tunnel((ServerCallStreamObserver<TunnelDown>) toWorker);
      tunnels.add(tunnel);
      return tunnel;
    }
  }

  /** A tunnel, of which as much is taken as a test asks for. */
  public static final class Tunnel implements StreamObserver<TunnelUp> {
    public final ServerCallStreamObserver<TunnelDown> worker;
    public final List<TunnelUp> received = new CopyOnWriteArrayList<>();
    public volatile String end = "";

    Tunnel(ServerCallStreamObserver<TunnelDown> worker) {
      this.worker = worker;
      worker.disableAutoRequest();
      worker.setOnCancelHandler(() -> end = "cancelled");
      worker.request(1);
    }

    @Override
    public void onNext(TunnelUp message) {
      received.add(message);
    }

    @Override
    public void onError(Throwable failure) {
      end = "cancelled";
    }

    @Override
    public void onCompleted() {
      end = "completed";
      worker.onCompleted();
    }
  }

  private final class Receiver implements StreamObserver<WorkerMessage> {
    private final StreamObserver<ControllerMessage> toWorker;

    Receiver(StreamObserver<ControllerMessage> toWorker) {
      this.toWorker = toWorker;
    }

    @Override
    public void onNext(WorkerMessage message) {
      received.add(message);
      synchronized (FakeController.this) {
        if (message.hasHeartbeat() && answeringHeartbeats) {
          toWorker.onNext(
              ControllerMessage.newBuilder().setAlive(Alive.getDefaultInstance()).build());
        }
        if (message.hasHello() && refusal != null) {
          toWorker.onError(refusal);
        } else if (message.hasHello() && welcoming) {
          worker = toWorker;
          toWorker.onNext(
              ControllerMessage.newBuilder()
                  .setWelcome(
                      Welcome.newBuilder()
                          .setLease(
                              Duration.newBuilder()
                                  .setSeconds(leaseMillis / 1000)
                                  .setNanos(leaseMillis % 1000 * 1_000_000))
                          .addAllAssignments(desired.values()))
                  .build());
        }
      }
    }

    @Override
    public void onError(Throwable failure) {
      gone();
    }

    @Override
    public void onCompleted() {
      gone();
      toWorker.onCompleted();
    }

    private void gone() {
      synchronized (FakeController.this) {
        if (toWorker.equals(worker)) {
          worker = null;
        }
      }
    }
  }
}
