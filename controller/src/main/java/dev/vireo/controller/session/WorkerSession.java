package dev.vireo.controller.session;

import com.google.protobuf.Duration;
import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.grpc.PacedStream;
import dev.vireo.controller.leader.Leadership;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.worker.v1.Alive;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.OpenTunnel;
import dev.vireo.proto.worker.v1.Removal;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jboss.logging.Logger;
import org.jspecify.annotations.Nullable;

/** One worker's stream, from its Hello to its end. */
public final class WorkerSession implements StreamObserver<WorkerMessage> {
  private static final Logger LOG = Logger.getLogger(WorkerSession.class);
  private static final Pattern NODE_ID = Pattern.compile("[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?");

  /** How long a worker waits here to be told who leads; well less than it waits for a Welcome. */
  private static final java.time.Duration LEADER_WITHIN = java.time.Duration.ofSeconds(10);

  private static final String NO_SESSION = "has no session with the controller any more";

  private static final ControllerMessage ALIVE =
      ControllerMessage.newBuilder().setAlive(Alive.getDefaultInstance()).build();

  private final MicroVms microVms;
  private final Nodes nodes;
  private final Sessions sessions;
  private final NodeEvents events;
  private final Leadership leadership;
  private final CreateTraces createTraces;
  private final PacedStream<ControllerMessage> out;

  private final LinkedBlockingQueue<Outgoing> outgoing = new LinkedBlockingQueue<>();

  /** Uids in {@link #outgoing}: each is there at most once, so it is as bounded as the node is. */
  private final Set<String> queued = ConcurrentHashMap.newKeySet();

  private final ConcurrentHashMap<Long, LogReader> logs = new ConcurrentHashMap<>();
  private final ConcurrentHashMap<Long, TraceReader> traces = new ConcurrentHashMap<>();
  private final ConcurrentHashMap<Long, CompletableFuture<InspectResult>> inspections =
      new ConcurrentHashMap<>();
  private final Set<Tunnel<?, ?>> tunnels = ConcurrentHashMap.newKeySet();
  private final AtomicLong ids = new AtomicLong();

  /**
   * What came after the Hello while the worker was not welcome yet: the last word about each
   * microVM, to be heard after those of the Hello. Null before the Hello, and once it has been
   * heard. Guarded by {@link #earlyLock}.
   */
  private @Nullable Map<String, MicroVmReport> early;

  private final Object earlyLock = new Object();
  private boolean saidHello; // Of the thread that hears the worker, as the next one.
  private String workerUid = "";
  private volatile Optional<String> nodeId = Optional.empty();
  private final AtomicBoolean over = new AtomicBoolean();

  /** What the sender has sent, by uid. Only its thread uses it. */
  private final Map<String, Sent> sent = new HashMap<>();

  /** What waits to be sent. */
  private sealed interface Outgoing {
    /** Whatever the node should make of this microVM by then. */
    record Changed(String uid) implements Outgoing {}

    /** The same, to be said again even if it has been said. */
    record Repeat(String uid) implements Outgoing {}

    record Message(ControllerMessage message) implements Outgoing {}

    record End() implements Outgoing {}
  }

  private sealed interface Sent {
    record Desired(long attempt, long generation) implements Sent {}

    record Removed(long attempt, boolean force) implements Sent {}
  }

  WorkerSession(
      MicroVms microVms,
      Nodes nodes,
      Sessions sessions,
      NodeEvents events,
      Leadership leadership,
      CreateTraces createTraces,
      PacedStream<ControllerMessage> out) {
    this.microVms = microVms;
    this.nodes = nodes;
    this.sessions = sessions;
    this.events = events;
    this.leadership = leadership;
    this.createTraces = createTraces;
    this.out = out;
  }

  // ---- what the worker says; never blocks

  @Override
  public void onNext(WorkerMessage message) {
    if (over.get()) {
      // Its next session's Hello says it again; said here, it could come after that.
      return;
    }
    switch (message.getMessageCase()) {
      case HELLO -> onHello(message.getHello());
      case HEARTBEAT -> nodeId.ifPresent(id -> onHeartbeat(id, message.getHeartbeat()));
      case REPORT -> onReport(message.getReport());
      case LOG_CHUNK -> onLogChunk(message.getLogChunk());
      case INSPECT_RESULT -> onInspectResult(message.getInspectResult());
      case TRACE_CHUNK -> onTraceChunk(message.getTraceChunk());
      case MESSAGE_NOT_SET -> {
        // From a newer worker; what matters comes again in terms that we know.
      }
    }
  }

  @Override
  public void onError(Throwable t) {
    end(Status.fromThrowable(t).getCode().toString());
    out.fail(ErrorInterceptor.typed(unreachable("went away"), "Session"));
  }

  @Override
  public void onCompleted() {
    end("completed");
    out.complete();
  }

  private void onReport(MicroVmReport report) {
    synchronized (earlyLock) {
      if (early != null) {
        early.remove(report.getUid()); // The last word comes last.
        early.put(report.getUid(), report);
        return;
      }
    }
    nodeId.ifPresent(id -> events.reported(id, report));
  }

  private void hear(String id, List<MicroVmReport> reports) {
    reports.forEach(report -> events.reported(id, report));
    synchronized (earlyLock) {
      if (early != null) {
        early.values().forEach(report -> events.reported(id, report));
        early = null;
      }
    }
  }

  private void onHello(Hello hello) {
    Optional<StatusRuntimeException> invalid = validate(hello);
    if (saidHello || invalid.isPresent()) {
      out.fail(
          invalid.orElseGet(
              () -> Errors.of(ErrorReason.FIELD_INVALID, "hello: comes once in a session")));
      return;
    }
    saidHello = true;
    workerUid = hello.getNodeUid();
    synchronized (earlyLock) {
      early = new LinkedHashMap<>();
    }
    Thread.ofVirtual()
        .name("session-" + hello.getNodeId())
        .start(() -> {
          try {
            serve(hello);
          } catch (PacedStream.Gone | InterruptedException e) {
            LOG.debugf("session node=%s: %s", hello.getNodeId(), e);
          } catch (RuntimeException e) {
            out.fail(ErrorInterceptor.typed(e, "Session"));
          } finally {
            end("sender ended");
          }
        });
  }

  private static Optional<StatusRuntimeException> validate(Hello hello) {
    if (!NODE_ID.matcher(hello.getNodeId()).matches()) {
      return Optional.of(
          Errors.badRequest(
              List.of(
                  new Errors.FieldViolation(
                      "hello.node_id",
                      ErrorReason.FIELD_INVALID,
                      "must match " + NODE_ID.pattern() + "."))));
    }
    if (hello.getNodeUid().isEmpty()) {
      return Optional.of(
          Errors.badRequest(
              List.of(
                  new Errors.FieldViolation(
                      "hello.node_uid", ErrorReason.FIELD_REQUIRED, "is not set."))));
    }
    return Optional.empty();
  }

  private void onHeartbeat(String id, Heartbeat heartbeat) {
    if (nodes.heartbeat(id, workerUid, heartbeat)) {
      sessions.counted(id, heartbeat.getCountersList());
      outgoing.add(new Outgoing.Message(ALIVE));
    }
  }

  private void onLogChunk(LogChunk chunk) {
    LogReader reader =
        chunk.getEnd() ? logs.remove(chunk.getStreamId()) : logs.get(chunk.getStreamId());
    if (reader != null) {
      reader.onChunk(chunk);
    }
  }

  private void onTraceChunk(TraceChunk chunk) {
    TraceReader reader =
        chunk.getEnd() ? traces.remove(chunk.getStreamId()) : traces.get(chunk.getStreamId());
    if (reader != null) {
      reader.onChunk(chunk);
    }
  }

  private void onInspectResult(InspectResult result) {
    CompletableFuture<InspectResult> waiting = inspections.remove(result.getRequestId());
    if (waiting != null) {
      waiting.complete(result);
    }
  }

  // ---- what the worker is told

  /** The microVM's record has changed; the node may have to do something. */
  void changed(String uid) {
    if (queued.add(uid)) {
      outgoing.add(new Outgoing.Changed(uid));
    }
  }

  /** The node does not have what it should: tell it again. */
  public void repeat(String uid) {
    outgoing.add(new Outgoing.Repeat(uid));
  }

  /** The node has what it should not: tell it to let go. */
  public void remove(String uid) {
    outgoing.add(
        new Outgoing.Message(
            desired(
                DesiredChange.newBuilder()
                    .setRemove(Removal.newBuilder().setUid(uid).setForce(true)))));
  }

  /** Asks what a VMM knows of itself. Fails when the session ends first. */
  public CompletableFuture<InspectResult> inspect(String uid) {
    long id = ids.incrementAndGet();
    CompletableFuture<InspectResult> answer = new CompletableFuture<>();
    inspections.put(id, answer);
    CompletableFuture<?> _ = answer.whenComplete((_, _) -> inspections.remove(id));
    outgoing.add(
        new Outgoing.Message(
            ControllerMessage.newBuilder()
                .setInspect(Inspect.newBuilder().setRequestId(id).setUid(uid))
                .build()));
    if (over.get()) {
      answer.completeExceptionally(unreachable(NO_SESSION));
    }
    return answer;
  }

  /** Opens a stream of a console's bytes, which go to the reader until it is closed. */
  LogStream readLog(LogReader reader) {
    long id = ids.incrementAndGet();
    logs.put(id, reader);
    return new LogStream(
        id, message -> outgoing.add(new Outgoing.Message(message)), () -> logs.remove(id) != null);
  }

  /** Opens a trace, which goes to the reader until it is closed. */
  TraceStream readTrace(TraceReader reader) {
    long id = ids.incrementAndGet();
    traces.put(id, reader);
    return new TraceStream(
        id,
        message -> outgoing.add(new Outgoing.Message(message)),
        () -> traces.remove(id) != null);
  }

  /** Asks for a call to be served; the tunnel is told when the session ends first. */
  void openTunnel(Tunnel<?, ?> tunnel, String id, String uid) {
    tunnels.add(tunnel);
    outgoing.add(
        new Outgoing.Message(
            ControllerMessage.newBuilder()
                .setOpenTunnel(OpenTunnel.newBuilder().setTunnelId(id).setUid(uid))
                .build()));
  }

  /** The tunnel has ended. */
  void forget(Tunnel<?, ?> tunnel) {
    tunnels.remove(tunnel);
  }

  /** What a client is told whose call this worker does not serve (any more). */
  StatusRuntimeException unreachable(String what) {
    return nodeId
        .map(id -> Sessions.unreachable(id, what))
        .orElseGet(() -> Errors.of(ErrorReason.NODE_UNREACHABLE, "the worker " + what));
  }

  boolean isOver() {
    return over.get();
  }

  /** The worker has a newer session. */
  void supersede() {
    end("superseded");
    out.fail(unreachable("has opened another session"));
  }

  /**
   * The worker's lease has ended, though its connection has not: it may never be heard of again,
   * and whoever waits for it here would wait as long. If it goes on it finds this out, and dials
   * again.
   */
  public void endWithLease() {
    end("its lease has ended");
    out.fail(unreachable("was not heard of for a lease; it may dial again"));
  }

  /** This controller leads no more. */
  void endWithTerm() {
    end("this controller leads no more");
    out.fail(notLeader(leadership));
  }

  /** What a worker is told that dials a controller which does not lead. */
  static StatusRuntimeException notLeader(Leadership leadership) {
    return leadership
        .leader()
        .map(address ->
            Errors.of(
                ErrorReason.NOT_LEADER,
                "the controller at %s leads".formatted(address),
                Map.of("leader", address)))
        .orElseGet(() -> Errors.of(ErrorReason.NO_LEADER, "no controller leads now"));
  }

  // ---- the sender

  private void serve(Hello hello) throws PacedStream.Gone, InterruptedException {
    String id = hello.getNodeId();
    if (!leadership.isUninformed()) { // If so, the worker had better ask another.
      leadership.await(
          Optional.of(hello.getUnreachableLeader()).filter(address -> !address.isEmpty()),
          LEADER_WITHIN);
    }
    if (over.get()) {
      return; // The worker did not wait for so long.
    }
    if (!leadership.leads()) {
      LOG.debugf("session refused node=%s: this controller does not lead", id);
      out.fail(notLeader(leadership));
      return;
    }
    switch (nodes.register(hello)) {
      case TAKEN -> {
        LOG.warnf("session refused node=%s worker=%s: id taken", id, hello.getNodeUid());
        out.fail(
            Errors.of(
                ErrorReason.NODE_ID_TAKEN,
                "node %s belongs to another worker, whose lease has not ended".formatted(id),
                Map.of("node", id)));
        return;
      }
      case REPLACED -> events.workerReplaced(id);
      case WELCOME -> {
        // As it should be.
      }
    }
    nodeId = Optional.of(id);
    sessions.open(id, this);
    if (over.get()) {
      // The worker went away while it was registered, and could not be taken out then.
      sessions.close(id, this);
      return;
    }
    if (!leadership.leads()) {
      endWithTerm(); // Which may have ended before this session was one to be ended.
      return;
    }
    LOG.infof(
        "session opened node=%s worker=%s version=%s microvms=%d",
        id, hello.getNodeUid(), hello.getWorkerVersion(), hello.getReportsCount());
    welcome(id, hello);
    events.nodeChanged(id);
    while (!over.get()) {
      send(outgoing.take());
    }
  }

  private void welcome(String id, Hello hello) throws PacedStream.Gone, InterruptedException {
    Set<String> here =
        hello.getReportsList().stream().map(MicroVmReport::getUid).collect(Collectors.toSet());
    List<StoredMicroVm> assigned =
        microVms.on(id).stream().sorted(Comparator.comparing(StoredMicroVm::name)).toList();
    Welcome.Builder welcome = Welcome.newBuilder().setLease(seconds(nodes.lease()));
    for (StoredMicroVm microVm : assigned) {
      if (!goes(microVm)) {
        welcome.addAssignments(assignment(id, microVm.microVm()));
        sent.put(microVm.uid(), desired(microVm.microVm()));
      } else if (Lifecycle.isDeleting(microVm.microVm()) && !here.contains(microVm.uid())) {
        events.absent(id, microVm.uid());
      }
    }
    out.send(ControllerMessage.newBuilder().setWelcome(welcome).build());
    out.send(ALIVE); // So that the worker counts on answers from its first heartbeat on.
    for (StoredMicroVm microVm : assigned) {
      changed(microVm.uid());
    }
    hear(id, hello.getReportsList());
  }

  private void send(Outgoing next) throws PacedStream.Gone, InterruptedException {
    switch (next) {
      case Outgoing.Changed(String uid) -> {
        queued.remove(uid);
        sendDesired(uid);
      }
      case Outgoing.Repeat(String uid) -> {
        sent.remove(uid);
        sendDesired(uid);
      }
      case Outgoing.Message(ControllerMessage message) -> out.send(message);
      case Outgoing.End() -> {
        // The loop ends.
      }
    }
  }

  private void sendDesired(String uid) throws PacedStream.Gone, InterruptedException {
    Optional<StoredMicroVm> microVm =
        microVms.findByUid(uid).filter(m -> Lifecycle.isOn(nodeId.orElseThrow(), m.microVm()));
    if (microVm.isEmpty()) {
      sent.remove(uid);
      return;
    }
    Sent now = goes(microVm.get()) ? removed(microVm.get()) : desired(microVm.get().microVm());
    if (now.equals(sent.put(uid, now))) {
      return;
    }
    DesiredChange.Builder change = DesiredChange.newBuilder();
    switch (now) {
      case Sent.Desired _ ->
          change.setUpsert(assignment(nodeId.orElseThrow(), microVm.get().microVm()));
      case Sent.Removed(long attempt, boolean force) ->
          change.setRemove(Removal.newBuilder().setUid(uid).setAttempt(attempt).setForce(force));
    }
    out.send(desired(change));
  }

  /** Whether the node shall let go of it: it is to be deleted, or to leave. */
  private static boolean goes(StoredMicroVm microVm) {
    return Lifecycle.isDeleting(microVm.microVm()) || Lifecycle.isLeaving(microVm.record());
  }

  private static Sent removed(StoredMicroVm microVm) {
    return new Sent.Removed(
        microVm.microVm().getStatus().getAttempt(),
        Lifecycle.isDeleting(microVm.microVm())
            ? microVm.record().getForceDelete()
            : microVm.record().getEviction().getForce());
  }

  private static ControllerMessage desired(DesiredChange.Builder change) {
    return ControllerMessage.newBuilder().setDesiredChange(change).build();
  }

  private static Sent desired(MicroVm microVm) {
    return new Sent.Desired(microVm.getStatus().getAttempt(), microVm.getMeta().getGeneration());
  }

  private Assignment assignment(String id, MicroVm microVm) {
    Assignment.Builder assignment =
        Assignment.newBuilder()
            .setUid(microVm.getMeta().getUid())
            .setName(microVm.getMeta().getName())
            .setAttempt(microVm.getStatus().getAttempt())
            .setGeneration(microVm.getMeta().getGeneration())
            .setSpec(microVm.getSpec())
            .setTraceparent(createTraces.assign(microVm, id));
    nodes.find(id).ifPresent(node -> assignment.setPromisable(node.promisable()));
    return assignment.build();
  }

  // ---- the end

  private void end(String why) {
    if (over.getAndSet(true)) {
      return;
    }
    outgoing.add(new Outgoing.End());
    nodeId.ifPresent(id -> {
      sessions.close(id, this);
      LOG.infof("session ended node=%s: %s", id, why);
    });
    // To each its own: what answers a call adds to the error's trailers.
    String told = "%s: %s".formatted(NO_SESSION, why);
    inspections.values().forEach(answer -> answer.completeExceptionally(unreachable(told)));
    logs.values().forEach(reader -> reader.onSessionEnd(unreachable(told)));
    logs.clear();
    traces.values().forEach(reader -> reader.onSessionEnd(unreachable(told)));
    traces.clear();
    tunnels.forEach(tunnel -> tunnel.fail(unreachable(told)));
  }

  private static Duration seconds(java.time.Duration duration) {
    return Duration.newBuilder()
        .setSeconds(duration.toSeconds())
        .setNanos(duration.toNanosPart())
        .build();
  }
}
