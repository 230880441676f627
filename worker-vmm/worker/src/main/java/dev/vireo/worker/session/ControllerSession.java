package dev.vireo.worker.session;

import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.OpenTunnel;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.proto.worker.v1.WorkerMessage;
import dev.vireo.proto.worker.v1.WorkerServiceGrpc;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Keeps one session with the controller that leads: says Hello, hands what comes to the {@link
 * ControlledNode}, sends reports and heartbeats, and dials again whenever the session ends: at once
 * the leader that a controller has named, else, with jittered back-off, the next that it knows. The
 * node goes on by itself in between.
 */
public final class ControllerSession implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("session");

  /** How long a controller may take to answer Hello. */
  private static final Duration WELCOME_WITHIN = Duration.ofSeconds(30);

  /** One that was stopped takes the connection, and says nothing. */
  private static final Duration CONNECTED_WITHIN = Duration.ofSeconds(10);

  private static final Duration SHORTEST_HEARTBEAT = Duration.ofMillis(100);

  /** In the metadata of the error of a controller that does not lead. */
  private static final String LEADER = "leader";

  private final Controllers controllers;
  private final ControlledNode node;
  private final Time time;
  private final Backoff backoff;
  private @Nullable Connection current;
  private String lastFailure = "";

  /** The last dialling was to a leader that somebody had named. */
  private boolean redirected;

  /** One that led, or was said to, and could not be reached when it was dialled last. */
  private Optional<ControllerAddress> unreachable = Optional.empty();

  private boolean closed;

  /**
   * @param controllers that this session owns and closes
   * @param time for heartbeats and reconnecting
   */
  public ControllerSession(
      Controllers controllers, ControlledNode node, Time time, Backoff backoff) {
    this.controllers = controllers;
    this.node = node;
    this.time = time;
    this.backoff = backoff;
  }

  /** Dials for the first time. Returns at once. */
  public void start() {
    connect();
  }

  /** Tells the controller, if there is a session; if not, the next Hello will. */
  public synchronized void report(MicroVmReport report) {
    if (current != null) {
      current.outbox().report(report);
    }
  }

  /** Whether a controller has welcomed this node and the session still stands. */
  public synchronized boolean isWelcome() {
    return current != null && current.welcomed;
  }

  private void connect() {
    Connection connection;
    synchronized (this) {
      if (closed) {
        return;
      }
      Channel channel = controllers.dial();
      connection = new Connection(channel);
      current = connection;
      var _ = WorkerServiceGrpc.newStub(channel).session(connection);
    }
    // After `current` is set: a report that comes between the two waits behind the Hello.
    connection.outbox().open(WorkerMessage.newBuilder().setHello(hello()).build());
    connection.awaitWelcome();
  }

  private Hello hello() {
    Hello.Builder hello = node.hello().toBuilder();
    synchronized (this) {
      unreachable.ifPresent(address -> hello.setUnreachableLeader(address.toString()));
    }
    return hello.build();
  }

  /**
   * @param failure what the controller has said, or what was said of it
   */
  private void ended(Connection connection, Throwable failure) {
    Status why = Status.fromThrowable(failure);
    Optional<ControllerAddress> leader = leader(failure);
    synchronized (this) {
      if (current != connection) {
        return;
      }
      current = null;
      connection.outbox().close();
      if (closed) {
        return;
      }
      if (Errors.reasonOf(failure).isEmpty() && (redirected || connection.welcomed)) {
        unreachable = Optional.of(controllers.current());
      }
      Duration wait = leader.isPresent() && !redirected ? turnTo(leader.get()) : moveOn();
      logFailure(connection, why);
      var _ = time.after(wait, this::connect);
    }
    node.disconnected();
  }

  private static Optional<ControllerAddress> leader(Throwable failure) {
    try {
      return Optional.ofNullable(Errors.metadataOf(failure).get(LEADER))
          .map(ControllerAddress::parse);
    } catch (IllegalArgumentException e) {
      return Optional.empty(); // Of a newer kind.
    }
  }

  private Duration turnTo(ControllerAddress leader) {
    redirected = true;
    controllers.turnTo(leader);
    return Duration.ZERO;
  }

  private Duration moveOn() {
    redirected = false;
    controllers.moveOn();
    return backoff.next();
  }

  /** Once per kind of failure: a controller that is away for hours is not worth hours of lines. */
  private void logFailure(Connection connection, Status why) {
    String failure = why.getCode() + ": " + why.getDescription();
    if (connection.welcomed || !failure.equals(lastFailure)) {
      LOG.log(
          Level.WARNING,
          "no session with the controller ({0}); dialling again: {1}",
          failure,
          controllers.current());
    }
    lastFailure = failure;
  }

  private synchronized void welcomed(Connection connection) {
    connection.welcomed = true;
    redirected = false;
    unreachable = Optional.empty();
    backoff.reset();
    lastFailure = "";
  }

  /** Ends the session in good order. Microvms go on. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      if (current != null) {
        current.hangUp();
      }
    }
    controllers.close();
  }

  /** One stream, from dialling to its end. gRPC calls it from one thread at a time. */
  private final class Connection
      implements ClientResponseObserver<WorkerMessage, ControllerMessage> {
    private final Channel channel;
    private @Nullable Outbox outbox;
    private @Nullable ClientCallStreamObserver<WorkerMessage> call;
    private @Nullable Alarm heartbeat;
    private @Nullable Alarm welcomeTimeout;
    private @Nullable Alarm connectTimeout;
    private boolean over;
    private boolean answered;
    private volatile boolean welcomed;

    /** Whether this controller answers heartbeats, and the last one was. */
    private volatile boolean answersHeartbeats;

    private volatile boolean unanswered;

    Connection(Channel channel) {
      this.channel = channel;
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<WorkerMessage> toController) {
      Outbox messages = new Outbox(toController);
      outbox = messages;
      call = toController;
      toController.setOnReadyHandler(messages::drain);
    }

    /** To be called once the Hello is on its way: a slow machine takes long to get there. */
    private synchronized void awaitWelcome() {
      if (!over && !answered) {
        welcomeTimeout =
            time.after(WELCOME_WITHIN, () -> giveUp("no Welcome within " + WELCOME_WITHIN));
        connectTimeout = time.after(CONNECTED_WITHIN, this::giveUpUnlessConnected);
      }
    }

    private void giveUpUnlessConnected() {
      if (!controllers.isConnected()) {
        giveUp("no connection within " + CONNECTED_WITHIN);
      }
    }

    private void giveUp(String why) {
      if (call != null) {
        call.cancel(why, null);
      }
    }

    private synchronized void stopWaiting() {
      answered = true;
      cancel(welcomeTimeout);
      cancel(connectTimeout);
    }

    private Outbox outbox() {
      if (outbox == null) {
        throw new IllegalStateException("the stream has not started");
      }
      return outbox;
    }

    @Override
    public void onNext(ControllerMessage message) {
      unanswered = false;
      switch (message.getMessageCase()) {
        case WELCOME -> onWelcome(message.getWelcome());
        case DESIRED_CHANGE -> node.change(message.getDesiredChange());
        case READ_LOG ->
            node.readLog(
                message.getReadLog(),
                chunk -> outbox().send(WorkerMessage.newBuilder().setLogChunk(chunk).build()));
        case CANCEL_LOG -> node.cancelLog(message.getCancelLog().getStreamId());
        case INSPECT ->
            node.inspect(
                message.getInspect(),
                result ->
                    outbox().send(WorkerMessage.newBuilder().setInspectResult(result).build()));
        case READ_TRACE ->
            node.readTrace(
                message.getReadTrace(),
                chunk -> outbox().send(WorkerMessage.newBuilder().setTraceChunk(chunk).build()));
        case CANCEL_TRACE -> node.cancelTrace(message.getCancelTrace().getStreamId());
        case OPEN_TUNNEL -> {
          OpenTunnel open = message.getOpenTunnel();
          node.serve(open.getUid(), TunnelDial.dial(channel, open.getTunnelId()));
        }
        case ALIVE -> answersHeartbeats = true;
        case MESSAGE_NOT_SET -> LOG.log(Level.DEBUG, "the controller sent what is not known here");
      }
    }

    private void onWelcome(Welcome welcome) {
      stopWaiting();
      LOG.log(Level.INFO, "welcomed; {0} microVMs should be here", welcome.getAssignmentsCount());
      welcomed(this);
      Duration lease =
          Duration.ofSeconds(welcome.getLease().getSeconds(), welcome.getLease().getNanos());
      Duration third = lease.dividedBy(3);
      cancel(heartbeat);
      beatEvery(third.compareTo(SHORTEST_HEARTBEAT) < 0 ? SHORTEST_HEARTBEAT : third);
      node.welcome(welcome);
    }

    private synchronized void beatEvery(Duration period) {
      if (!over) {
        heartbeat =
            time.after(
                period,
                () -> {
                  // First, so that one that fails is not the last.
                  beatEvery(period);
                  beat(period);
                });
      }
    }

    private void beat(Duration period) {
      if (answersHeartbeats && unanswered) {
        giveUp("no answer to a heartbeat within " + period);
        return;
      }
      unanswered = true;
      outbox().send(WorkerMessage.newBuilder().setHeartbeat(node.heartbeat()).build());
    }

    @Override
    public void onError(Throwable failure) {
      silence();
      ended(this, failure);
    }

    @Override
    public void onCompleted() {
      onError(
          Status.UNAVAILABLE
              .withDescription("the controller closed the session")
              .asRuntimeException());
    }

    private void hangUp() {
      silence();
      if (call != null) {
        call.onCompleted();
      }
    }

    private synchronized void silence() {
      over = true;
      cancel(heartbeat);
      cancel(welcomeTimeout);
      cancel(connectTimeout);
    }

    private static void cancel(@Nullable Alarm alarm) {
      if (alarm != null) {
        alarm.cancel();
      }
    }
  }
}
