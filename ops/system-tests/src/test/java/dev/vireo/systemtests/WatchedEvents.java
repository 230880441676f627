package dev.vireo.systemtests;

import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.Context;
import io.grpc.stub.StreamObserver;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** A watch of one project's microVMs that keeps everything it was sent. */
final class WatchedEvents implements AutoCloseable {
  private final Context.CancellableContext call = Context.current().withCancellation();
  private final List<WatchMicroVmsResponse> events = new CopyOnWriteArrayList<>();

  private WatchedEvents() {}

  static WatchedEvents of(MicroVms microVms) {
    WatchedEvents watched = new WatchedEvents();
    watched.call.run(() ->
        MicroVmServiceGrpc.newStub(microVms.api().getChannel())
            .watchMicroVms(
                WatchMicroVmsRequest.newBuilder().setParent(microVms.parent()).build(),
                watched.observer()));
    return watched;
  }

  private StreamObserver<WatchMicroVmsResponse> observer() {
    return new StreamObserver<>() {
      @Override
      public void onNext(WatchMicroVmsResponse event) {
        events.add(event);
      }

      @Override
      public void onError(Throwable failure) {}

      @Override
      public void onCompleted() {}
    };
  }

  List<WatchEventType> types(String id) {
    return of(id).stream().map(WatchMicroVmsResponse::getType).toList();
  }

  List<MicroVmState> states(String id) {
    return of(id).stream().map(event -> event.getMicrovm().getStatus().getState()).toList();
  }

  private List<WatchMicroVmsResponse> of(String id) {
    return events.stream()
        .filter(event -> event.getMicrovm().getMeta().getName().endsWith("/" + id))
        .toList();
  }

  /** Whether each event was newer than the one before it. */
  boolean versionsGrow() {
    long last = 0;
    for (WatchMicroVmsResponse event : events) {
      if (event.getResourceVersion() < last) {
        return false;
      }
      last = event.getResourceVersion();
    }
    return true;
  }

  @Override
  public void close() {
    call.close();
  }
}
