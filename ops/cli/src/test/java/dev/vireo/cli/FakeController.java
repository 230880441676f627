package dev.vireo.cli;

import com.google.protobuf.ByteString;
import com.google.protobuf.Timestamp;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.AttachRequest;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.Event;
import dev.vireo.proto.v1.EventServiceGrpc;
import dev.vireo.proto.v1.ExecRequest;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExplainPlacementRequest;
import dev.vireo.proto.v1.ExplainPlacementResponse;
import dev.vireo.proto.v1.FenceNodeRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.GetNodeRequest;
import dev.vireo.proto.v1.GetQuotaRequest;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmResponse;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.ListEventsRequest;
import dev.vireo.proto.v1.ListEventsResponse;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.ListNodesResponse;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeSpec;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.Quota;
import dev.vireo.proto.v1.QuotaServiceGrpc;
import dev.vireo.proto.v1.QuotaStatus;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import dev.vireo.proto.v1.ResizeMemoryRequest;
import dev.vireo.proto.v1.SetQuotaRequest;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.v1.StreamLogsResponse.Stream;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.TraceMicroVmRequest;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.v1.UpdateNodeRequest;
import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A controller made of memory: it keeps microVMs and their consoles, tells watchers, and fails when
 * a test has asked for it. What becomes of a microVM is the test's to say.
 */
final class FakeController implements AutoCloseable {
  static final Instant NOW = Instant.parse("2026-11-22T12:00:00Z");

  final String serverName = InProcessServerBuilder.generateName();

  /** Every create, as it came. */
  final List<CreateMicroVmRequest> creates = new CopyOnWriteArrayList<>();

  /** Until when each of them was awaited. */
  final List<Deadline> createDeadlines = new ArrayList<>();

  /** Of every node. */
  final FakeImages images = new FakeImages();

  /** The guest of every microVM. */
  final FakeGuest guest = new FakeGuest();

  final List<ResizeConsoleRequest> resizes = new ArrayList<>();

  /** Every delete, as it came. */
  final List<DeleteMicroVmRequest> deletes = new ArrayList<>();

  /** Every change of a node, as it came. */
  final List<UpdateNodeRequest> nodeUpdates = new ArrayList<>();

  /** What is told of microVMs. */
  final List<Event> events = new ArrayList<>();

  /** Every trace that was asked for. */
  final List<TraceMicroVmRequest> traces = new ArrayList<>();

  /** The {@code traceparent} of each call that had one. */
  final List<String> traceparents = new ArrayList<>();

  /** Where each console read began. */
  final List<Long> logOffsets = new ArrayList<>();

  /** What the next calls end with, one each, before anything else happens. */
  final Deque<RuntimeException> failures = new ArrayDeque<>();

  /** What each request has made, by its ID. */
  private final Map<String, MicroVm> made = new HashMap<>();

  private final Map<String, MicroVm> microVms = new LinkedHashMap<>();
  private final Map<String, ByteString> consoles = new LinkedHashMap<>();
  private final Map<String, List<StreamLogsResponse>> outputs = new LinkedHashMap<>();
  private final List<Node> nodes = new ArrayList<>();
  private final List<StreamObserver<WatchMicroVmsResponse>> watchers = new ArrayList<>();
  private final List<WatchMicroVmsResponse> history = new ArrayList<>();
  private final Server server;
  private Inspection inspection = Inspection.getDefaultInstance();
  private ExplainPlacementResponse explanation = ExplainPlacementResponse.getDefaultInstance();
  private List<TraceMicroVmResponse> trace = List.of();
  private Quota quota =
      Quota.newBuilder()
          .setStatus(QuotaStatus.newBuilder().setMicrovms(2).setVcpus(3).setMemoryMib(1536))
          .build();
  private boolean traceGoesOn;
  private Consumer<String> afterCreate = name -> {};
  private @Nullable RuntimeException failureOfWaits;
  private boolean waitsNeverEnd;
  private Runnable afterNodeRead = () -> {};
  private long version;
  private int pageSize = Integer.MAX_VALUE;

  FakeController() {
    server =
        InProcessServerBuilder.forName(serverName)
            .directExecutor()
            .addService(new MicroVms())
            .addService(new Nodes())
            .addService(new Quotas())
            .addService(images)
            .addService(new Events())
            .intercept(new TraceparentReader())
            .build();
    try {
      server.start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private final class TraceparentReader implements ServerInterceptor {
    private static final Metadata.Key<String> TRACEPARENT =
        Metadata.Key.of("traceparent", Metadata.ASCII_STRING_MARSHALLER);

    @Override
    public <Q, R> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
      String traceparent = headers.get(TRACEPARENT);
      if (traceparent != null) {
        traceparents.add(traceparent);
      }
      return next.startCall(call, headers);
    }
  }

  /** What happens to a microVM, by its name, as soon as it has been created. */
  FakeController afterCreate(Consumer<String> story) {
    afterCreate = story;
    return this;
  }

  /** Creates that wait end with this, when the microVM is there. */
  FakeController waitsFail(RuntimeException failure) {
    failureOfWaits = failure;
    return this;
  }

  /** Creates that wait are not answered. */
  FakeController waitsNeverEnd() {
    waitsNeverEnd = true;
    return this;
  }

  /** Its container's process writes, at {@link #NOW}. */
  synchronized void output(String name, Stream stream, String text) {
    List<StreamLogsResponse> records = outputs.computeIfAbsent(name, _ -> new ArrayList<>());
    long offset = records.isEmpty() ? 0 : records.getLast().getNextOffset();
    ByteString data = ByteString.copyFromUtf8(text);
    records.add(
        StreamLogsResponse.newBuilder()
            .setOffset(offset)
            .setData(data)
            .setNextOffset(offset + 16 + data.size())
            .setStream(stream)
            .setTime(Timestamp.newBuilder().setSeconds(NOW.getEpochSecond()))
            .build());
  }

  /** Its container's process ends. */
  synchronized void exit(String name, int status) {
    Termination end =
        Termination.newBuilder()
            .setCause(Termination.Cause.PROCESS_ENDED)
            .setExitStatus(status)
            .build();
    change(
        name,
        vm ->
            vm.toBuilder()
                .setStatus(
                    vm.getStatus().toBuilder()
                        .setState(status == 0 ? MicroVmState.STOPPED : MicroVmState.FAILED)
                        .setTermination(end))
                .build());
  }

  FakeController pageSize(int size) {
    pageSize = size;
    return this;
  }

  FakeController inspection(Inspection answer) {
    inspection = answer;
    return this;
  }

  /** What is said of a microVM's place, beside the microVM. */
  FakeController explanation(ExplainPlacementResponse answer) {
    explanation = answer;
    return this;
  }

  /** What a trace tells before it ends. */
  FakeController trace(TraceMicroVmResponse... responses) {
    trace = List.of(responses);
    return this;
  }

  /** Traces do not end by themselves. */
  FakeController traceGoesOn() {
    traceGoesOn = true;
    return this;
  }

  FakeController add(Node node) {
    nodes.add(node);
    return this;
  }

  /** What happens after each read of a node. */
  FakeController afterNodeRead(Runnable story) {
    afterNodeRead = story;
    return this;
  }

  synchronized void changeNode(String name, UnaryOperator<Node.Builder> change) {
    int index = indexOf(name);
    nodes.set(index, change.apply(nodes.get(index).toBuilder()).build());
  }

  private int indexOf(String node) {
    for (int i = 0; i < nodes.size(); i++) {
      if (nodes.get(i).getMeta().getName().equals(node)) {
        return i;
      }
    }
    throw Errors.of(ErrorReason.NODE_NOT_FOUND, "there is no " + node);
  }

  /** Puts a microVM there, or changes it. */
  synchronized MicroVm put(MicroVm microVm) {
    String name = microVm.getMeta().getName();
    boolean known = microVms.containsKey(name);
    MicroVm.Builder stored = microVm.toBuilder();
    stored.getMetaBuilder().setResourceVersion(++version);
    if (!known) {
      stored
          .getMetaBuilder()
          .setUid("uid-" + version)
          .setGeneration(1)
          .setCreateTime(timestamp(NOW.minusSeconds(90)));
    }
    MicroVm answer = stored.build();
    microVms.put(name, answer);
    tell(known ? WatchEventType.MODIFIED : WatchEventType.ADDED, answer);
    return answer;
  }

  /** Changes one that is there. */
  synchronized void change(String name, UnaryOperator<MicroVm> change) {
    put(change.apply(find(name)));
  }

  void state(String name, MicroVmState state) {
    change(
        name,
        vm -> {
          MicroVm.Builder changed = vm.toBuilder();
          changed.getStatusBuilder().setState(state).setNode("nodes/here");
          return changed.build();
        });
  }

  synchronized void remove(String name) {
    MicroVm gone = microVms.remove(name);
    if (gone != null) {
      version++;
      tell(WatchEventType.DELETED, gone);
    }
  }

  synchronized boolean exists(String name) {
    return microVms.containsKey(name);
  }

  synchronized void console(String name, String text) {
    consoles.merge(name, ByteString.copyFromUtf8(text), ByteString::concat);
  }

  static Timestamp timestamp(Instant instant) {
    return Timestamp.newBuilder().setSeconds(instant.getEpochSecond()).build();
  }

  @Override
  public void close() {
    server.shutdownNow();
  }

  private void tell(WatchEventType type, MicroVm vm) {
    WatchMicroVmsResponse event =
        WatchMicroVmsResponse.newBuilder()
            .setType(type)
            .setMicrovm(vm)
            .setResourceVersion(version)
            .build();
    history.add(event);
    for (StreamObserver<WatchMicroVmsResponse> watcher : watchers) {
      watcher.onNext(event);
    }
  }

  private synchronized boolean isMade(CreateMicroVmRequest request) {
    return made.containsKey(request.getRequestId());
  }

  private MicroVm madeBy(CreateMicroVmRequest request) {
    return Objects.requireNonNull(made.get(request.getRequestId()));
  }

  private MicroVm find(String name) {
    @Nullable MicroVm found = microVms.get(name);
    if (found == null) {
      throw Errors.of(ErrorReason.MICROVM_NOT_FOUND, "there is no " + name);
    }
    return found;
  }

  /** Answers with what {@code body} returns, or with the failure that is due, or its own. */
  private <T> void answer(StreamObserver<T> observer, java.util.function.Supplier<T> body) {
    T value;
    try {
      synchronized (this) {
        throwDueFailure();
        value = body.get();
      }
    } catch (RuntimeException e) {
      observer.onError(e);
      return;
    }
    observer.onNext(value);
    observer.onCompleted();
  }

  private void throwDueFailure() {
    RuntimeException failure = failures.poll();
    if (failure != null) {
      throw failure;
    }
  }

  /** Where an answer goes that does not arrive. */
  private static final class NoObserver<T> implements StreamObserver<T> {
    @Override
    public void onNext(T answer) {}

    @Override
    public void onError(Throwable error) {}

    @Override
    public void onCompleted() {}
  }

  private final class MicroVms extends MicroVmServiceGrpc.MicroVmServiceImplBase {
    @Override
    public void createMicroVm(CreateMicroVmRequest request, StreamObserver<MicroVm> observer) {
      String name = request.getParent() + "/microvms/" + request.getMicrovmId();
      boolean waits = request.getWait() != CreateMicroVmRequest.Wait.WAIT_UNSPECIFIED;
      boolean isNew = !isMade(request);
      answer(
          waits && waitsNeverEnd ? new NoObserver<>() : observer,
          () -> {
            creates.add(request);
            createDeadlines.add(Objects.requireNonNull(Context.current().getDeadline()));
            MicroVm answer = isNew ? make(request, name) : madeBy(request);
            if (waits && failureOfWaits != null) {
              throw failureOfWaits;
            }
            return microVms.getOrDefault(name, answer);
          });
      if (isNew && exists(name)) {
        afterCreate.accept(name);
      }
    }

    private MicroVm make(CreateMicroVmRequest request, String name) {
      if (microVms.containsKey(name)) {
        throw Errors.of(ErrorReason.MICROVM_ALREADY_EXISTS, name + " exists");
      }
      MicroVm.Builder vm = request.getMicrovm().toBuilder();
      vm.getMetaBuilder().setName(name);
      vm.getStatusBuilder().setState(MicroVmState.PENDING);
      MicroVm stored = put(vm.build());
      made.put(request.getRequestId(), stored);
      return stored;
    }

    @Override
    public void getMicroVm(GetMicroVmRequest request, StreamObserver<MicroVm> observer) {
      answer(observer, () -> find(request.getName()));
    }

    @Override
    public void listMicroVms(
        ListMicroVmsRequest request, StreamObserver<ListMicroVmsResponse> observer) {
      answer(
          observer,
          () -> {
            List<MicroVm> all = List.copyOf(microVms.values());
            int from =
                request.getPageToken().isEmpty() ? 0 : Integer.parseInt(request.getPageToken());
            int to = (int) Math.min(all.size(), (long) from + pageSize);
            return ListMicroVmsResponse.newBuilder()
                .addAllMicrovms(all.subList(from, to))
                .setNextPageToken(to < all.size() ? Integer.toString(to) : "")
                .setResourceVersion(version)
                .build();
          });
    }

    @Override
    public void watchMicroVms(
        WatchMicroVmsRequest request, StreamObserver<WatchMicroVmsResponse> observer) {
      synchronized (FakeController.this) {
        try {
          throwDueFailure();
        } catch (RuntimeException e) {
          observer.onError(e);
          return;
        }
        for (WatchMicroVmsResponse event : history) {
          if (event.getResourceVersion() > request.getResourceVersion()) {
            observer.onNext(event);
          }
        }
        watchers.add(observer);
        ((ServerCallStreamObserver<WatchMicroVmsResponse>) observer)
            .setOnCancelHandler(() -> forget(observer));
      }
    }

    private void forget(StreamObserver<WatchMicroVmsResponse> observer) {
      synchronized (FakeController.this) {
        watchers.remove(observer);
      }
    }

    @Override
    public void deleteMicroVm(DeleteMicroVmRequest request, StreamObserver<MicroVm> observer) {
      answer(
          observer,
          () -> {
            deletes.add(request);
            if (request.getAllowMissing() && !microVms.containsKey(request.getName())) {
              return MicroVm.getDefaultInstance();
            }
            MicroVm vm = find(request.getName());
            remove(request.getName());
            return vm;
          });
    }

    @Override
    public void pauseMicroVm(SteerMicroVmRequest request, StreamObserver<MicroVm> observer) {
      answer(observer, () -> find(request.getName()));
    }

    @Override
    public StreamObserver<ExecRequest> exec(StreamObserver<ExecResponse> client) {
      return guest.exec(client);
    }

    @Override
    public StreamObserver<CopyInRequest> copyIn(StreamObserver<CopyInResponse> client) {
      return guest.copyIn(client);
    }

    @Override
    public void copyOut(CopyOutRequest request, StreamObserver<CopyOutResponse> client) {
      guest.copyOut(request, client);
    }

    @Override
    public StreamObserver<AttachRequest> attach(StreamObserver<AttachResponse> client) {
      return guest.process.attach(client);
    }

    @Override
    public StreamObserver<InvokeRequest> invoke(StreamObserver<InvokeResponse> client) {
      return guest.web.invoke(client);
    }

    @Override
    public StreamObserver<PortForwardRequest> portForward(
        StreamObserver<PortForwardResponse> client) {
      return guest.portForward(client);
    }

    /** Changes the spec, as the real one does once it has found nothing wrong. */
    @Override
    public void resizeMemory(ResizeMemoryRequest request, StreamObserver<MicroVm> observer) {
      answer(
          observer,
          () -> {
            MicroVm.Builder changed = find(request.getName()).toBuilder();
            if (request.hasBalloonTargetMib()) {
              changed
                  .getSpecBuilder()
                  .getBalloonBuilder()
                  .setTargetMib(request.getBalloonTargetMib());
            }
            if (request.hasSizeMib()) {
              changed
                  .getSpecBuilder()
                  .getMemoryHotplugBuilder()
                  .setSizeMib(request.getSizeMib() - changed.getSpec().getMemoryMib());
            }
            return put(changed.build());
          });
    }

    @Override
    public void resizeConsole(ResizeConsoleRequest request, StreamObserver<MicroVm> observer) {
      answer(
          observer,
          () -> {
            resizes.add(request);
            return find(request.getName());
          });
    }

    /** Sends the console in chunks of four bytes; a due failure comes after the first of them. */
    @Override
    public void streamLogs(StreamLogsRequest request, StreamObserver<StreamLogsResponse> observer) {
      synchronized (FakeController.this) {
        logOffsets.add(request.getOffset());
        if (outputs.containsKey(request.getName())
            && request.getSource() != LogSource.LOG_SOURCE_CONSOLE) {
          outputs.get(request.getName()).stream()
              .filter(record -> record.getOffset() >= request.getOffset())
              .forEach(observer::onNext);
          observer.onCompleted();
          return;
        }
        ByteString console =
            consoles.getOrDefault(
                request.getName(), ByteString.copyFrom("", StandardCharsets.UTF_8));
        for (int at = (int) request.getOffset(); at < console.size(); at += 4) {
          observer.onNext(
              StreamLogsResponse.newBuilder()
                  .setOffset(at)
                  .setData(console.substring(at, Math.min(at + 4, console.size())))
                  .setNextOffset(Math.min(at + 4, console.size()))
                  .build());
          RuntimeException failure = failures.poll();
          if (failure != null) {
            observer.onError(failure);
            return;
          }
        }
      }
      observer.onCompleted();
    }

    /** A due failure comes after the first response. */
    @Override
    public void traceMicroVm(
        TraceMicroVmRequest request, StreamObserver<TraceMicroVmResponse> observer) {
      synchronized (FakeController.this) {
        traces.add(request);
        for (TraceMicroVmResponse response : trace) {
          observer.onNext(response);
          RuntimeException failure = failures.poll();
          if (failure != null) {
            observer.onError(failure);
            return;
          }
        }
      }
      if (!traceGoesOn) {
        observer.onCompleted();
      }
    }

    @Override
    public void explainPlacement(
        ExplainPlacementRequest request, StreamObserver<ExplainPlacementResponse> observer) {
      answer(observer, () -> explanation.toBuilder().setMicrovm(find(request.getName())).build());
    }

    @Override
    public void inspectMicroVm(
        InspectMicroVmRequest request, StreamObserver<InspectMicroVmResponse> observer) {
      answer(
          observer,
          () ->
              InspectMicroVmResponse.newBuilder()
                  .setMicrovm(find(request.getName()))
                  .setInspection(inspection)
                  .build());
    }
  }

  private final class Events extends EventServiceGrpc.EventServiceImplBase {
    @Override
    public void listEvents(ListEventsRequest request, StreamObserver<ListEventsResponse> observer) {
      answer(
          observer,
          () ->
              ListEventsResponse.newBuilder()
                  .addAllEvents(
                      events.stream()
                          .filter(event -> event.getResource().startsWith(request.getParent()))
                          .toList())
                  .setNextPageToken("end")
                  .build());
    }
  }

  /** One quota, whose it is. */
  private final class Quotas extends QuotaServiceGrpc.QuotaServiceImplBase {
    @Override
    public void getQuota(GetQuotaRequest request, StreamObserver<Quota> observer) {
      answer(observer, () -> named(request.getName()));
    }

    @Override
    public void setQuota(SetQuotaRequest request, StreamObserver<Quota> observer) {
      answer(
          observer,
          () -> {
            quota = request.getQuota().toBuilder().setStatus(quota.getStatus()).build();
            return named(quota.getMeta().getName());
          });
    }

    private Quota named(String name) {
      Quota.Builder named = quota.toBuilder();
      named.getMetaBuilder().setName(name);
      return named.build();
    }
  }

  private final class Nodes extends NodeServiceGrpc.NodeServiceImplBase {
    @Override
    public void listNodes(ListNodesRequest request, StreamObserver<ListNodesResponse> observer) {
      answer(observer, () -> ListNodesResponse.newBuilder().addAllNodes(nodes).build());
    }

    @Override
    public void getNode(GetNodeRequest request, StreamObserver<Node> observer) {
      answer(
          observer,
          () ->
              nodes.stream()
                  .filter(node -> node.getMeta().getName().equals(request.getName()))
                  .findFirst()
                  .orElseThrow(
                      () -> Status.NOT_FOUND.withDescription("no such node").asRuntimeException()));
      afterNodeRead.run();
    }

    /** Merges as the real one does; checks nothing but the etag. */
    @Override
    public void updateNode(UpdateNodeRequest request, StreamObserver<Node> observer) {
      answer(
          observer,
          () -> {
            nodeUpdates.add(request);
            int index = indexOf(request.getNode().getMeta().getName());
            Node before = nodes.get(index);
            if (!request.getEtag().isEmpty()
                && !request.getEtag().equals(before.getMeta().getEtag())) {
              throw Errors.of(ErrorReason.ETAG_MISMATCH, "the node has changed");
            }
            Node.Builder after = before.toBuilder();
            for (String path : request.getUpdateMask().getPathsList()) {
              var field =
                  NodeSpec.getDescriptor().findFieldByName(path.substring("spec.".length()));
              after.getSpecBuilder().setField(field, request.getNode().getSpec().getField(field));
              if (field.hasPresence() && !request.getNode().getSpec().hasField(field)) {
                after.getSpecBuilder().clearField(field);
              }
            }
            after.getMetaBuilder().putAllLabels(after.getSpec().getLabelsMap());
            nodes.set(index, after.build());
            return after.build();
          });
    }

    @Override
    public void fenceNode(FenceNodeRequest request, StreamObserver<Node> observer) {
      answer(observer, () -> nodes.get(indexOf(request.getName())));
    }
  }
}
