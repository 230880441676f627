package dev.vireo.controller.api;

import dev.vireo.controller.event.Events;
import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.microvm.Selection;
import dev.vireo.proto.v1.Event;
import dev.vireo.proto.v1.EventServiceGrpc;
import dev.vireo.proto.v1.ListEventsRequest;
import dev.vireo.proto.v1.ListEventsResponse;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import io.smallrye.common.annotation.RunOnVirtualThread;
import java.util.function.Predicate;

/** {@code vireo.v1.EventService}. */
@GrpcService
public class EventGrpcService extends EventServiceGrpc.EventServiceImplBase {
  private final Events events;
  private final PageTokens pageTokens;

  public EventGrpcService(Events events, PageTokens pageTokens) {
    this.events = events;
    this.pageTokens = pageTokens;
  }

  @Override
  @RunOnVirtualThread
  public void listEvents(ListEventsRequest request, StreamObserver<ListEventsResponse> client) {
    int size = Operations.pageSize(request.getPageSize());
    Predicate<Event> wanted = wanted(request.getParent());
    String list = "events?%s&%s".formatted(events.epoch(), request.getParent());
    long after =
        pageTokens
            .decode(list, request.getPageToken())
            .map(PageTokens.Position::version)
            .orElse(0L);
    Events.Page page = events.after(after, wanted, size);
    client.onNext(
        ListEventsResponse.newBuilder()
            .addAllEvents(page.events())
            .setNextPageToken(pageTokens.encode(list, new PageTokens.Position("", page.last())))
            .setForgotten(request.getPageToken().isEmpty() ? 0 : page.forgotten())
            .build());
    client.onCompleted();
  }

  private static Predicate<Event> wanted(String parent) {
    if (MicroVmName.parse(parent).isPresent()) {
      return event -> event.getResource().equals(parent);
    }
    if (parent.equals("projects/" + Selection.ALL_PROJECTS)) {
      return _ -> true;
    }
    if (MicroVmName.parseParent(parent).isPresent()) {
      return event -> event.getResource().startsWith(parent + "/");
    }
    throw Violations.invalidField(
        "parent", "must be projects/{project}, projects/-, or a microVM's name.");
  }
}
