package dev.vireo.controller.api;

import static dev.vireo.controller.testing.TestController.PARENT;
import static dev.vireo.controller.testing.TestController.name;
import static dev.vireo.controller.testing.TestController.probe;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.SlowReader;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.ListNodesResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Vsock;
import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import dev.vireo.proto.worker.v1.Assignment;
import io.grpc.Context;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

final class ListAndWatchTest extends ControllerTest {
  /** Of a message, unless a client has set something else. */
  private static final int CLIENT_TAKES = 4 << 20;

  private MicroVm create(String id, Map<String, String> labels) {
    CreateMicroVmRequest.Builder request = probe(id).toBuilder();
    request.getMicrovmBuilder().getMetaBuilder().putAllLabels(labels);
    return create(request.build());
  }

  private static ListMicroVmsRequest.Builder list() {
    return ListMicroVmsRequest.newBuilder().setParent(PARENT);
  }

  private ListMicroVmsResponse list(ListMicroVmsRequest.Builder request) {
    return controller.client().listMicroVms(request.build());
  }

  private static List<String> names(ListMicroVmsResponse page) {
    return page.getMicrovmsList().stream().map(m -> m.getMeta().getName()).toList();
  }

  // ---- list

  @Test
  void pagesFollowEachOtherUntilTheEnd() {
    for (String id : List.of("c", "a", "e", "b", "d")) {
      create(probe(id));
    }
    List<String> seen = new ArrayList<>();
    String token = "";
    int pages = 0;
    do {
      ListMicroVmsResponse page = list(list().setPageSize(2).setPageToken(token));
      seen.addAll(names(page));
      token = page.getNextPageToken();
      pages++;
    } while (!token.isEmpty());

    assertEquals(List.of(name("a"), name("b"), name("c"), name("d"), name("e")), seen);
    assertEquals(3, pages);
  }

  @Test
  void aPageIsNoMoreThanAClientTakes() {
    ByteString much = ByteString.copyFrom(new byte[MetadataValidator.MAX_USER_DATA_BYTES]);
    List<String> names = new ArrayList<>();
    for (int i = 0; i < 70; i++) {
      String id = "vm-%02d".formatted(i);
      names.add(name(id));
      create(
          probe(
              id,
              spec -> {
                spec.setVsock(Vsock.getDefaultInstance());
                spec.getMetadataBuilder().setUserData(much);
                return spec;
              }));
    }
    List<String> seen = new ArrayList<>();
    String token = "";
    do {
      ListMicroVmsResponse page = list(list().setPageToken(token));
      assertTrue(page.getSerializedSize() < CLIENT_TAKES);
      seen.addAll(names(page));
      token = page.getNextPageToken();
    } while (!token.isEmpty());

    assertEquals(names, seen);
  }

  @Test
  void everyPageTellsWhereAWatchOfTheWholeListBegins() {
    create(probe("a"));
    create(probe("b"));
    ListMicroVmsResponse first = list(list().setPageSize(1));
    create(probe("aa"));
    ListMicroVmsResponse second =
        list(list().setPageSize(1).setPageToken(first.getNextPageToken()));

    assertEquals(List.of(name("aa")), names(second));
    assertEquals(first.getResourceVersion(), second.getResourceVersion());
  }

  @Test
  void labelsSelect() {
    create("a", Map.of("app", "x", "tier", "1"));
    create("b", Map.of("app", "x"));
    create("c", Map.of("app", "y"));

    assertEquals(List.of(name("a"), name("b")), names(list(list().setLabelSelector("app=x"))));
    assertEquals(List.of(name("a")), names(list(list().setLabelSelector("app=x, tier=1"))));
  }

  @Test
  void aTokenFromElsewhereIsRefused() {
    create(probe("a"));
    create(probe("b"));
    String token = list(list().setPageSize(1)).getNextPageToken();

    assertRefused(
        ErrorReason.PAGE_TOKEN_INVALID,
        () -> list(list().setPageToken(token).setLabelSelector("app=x")));
    assertRefused(
        ErrorReason.PAGE_TOKEN_INVALID,
        () -> list(list().setPageToken(token).setParent("projects/other")));
    assertRefused(ErrorReason.PAGE_TOKEN_INVALID, () -> list(list().setPageToken("x" + token)));
    assertRefused(
        ErrorReason.PAGE_TOKEN_INVALID,
        () ->
            controller
                .nodeClient()
                .listNodes(ListNodesRequest.newBuilder().setPageToken(token).build()));
    assertEquals(
        List.of(name("b")),
        names(list(list().setPageToken(token).setPageSize(50))),
        "the size of a page may change");
  }

  @Test
  void badParametersAreNamed() {
    assertRefused(ErrorReason.FIELD_INVALID, () -> list(list().setPageSize(-1)));
    assertRefused(ErrorReason.FIELD_INVALID, () -> list(list().setLabelSelector("app")));
    assertRefused(ErrorReason.FIELD_INVALID, () -> list(list().setLabelSelector("a=b,a=c")));
    assertRefused(ErrorReason.FIELD_INVALID, () -> list(list().setParent("x")));
    assertRefused(ErrorReason.FIELD_REQUIRED, () -> list(list().setParent("")));
  }

  @Test
  void nodesHavePagesToo() {
    for (String id : List.of("c", "a", "b")) {
      controller.join(id);
    }
    ListNodesResponse first =
        controller.nodeClient().listNodes(ListNodesRequest.newBuilder().setPageSize(2).build());
    ListNodesResponse second =
        controller
            .nodeClient()
            .listNodes(
                ListNodesRequest.newBuilder().setPageToken(first.getNextPageToken()).build());

    assertEquals(
        List.of("nodes/a", "nodes/b"),
        first.getNodesList().stream().map(n -> n.getMeta().getName()).toList());
    assertEquals("nodes/c", second.getNodes(0).getMeta().getName());
    assertEquals("", second.getNextPageToken());
  }

  // ---- watch

  @Test
  void aWatchShowsWhatIsThenABookmarkThenWhatComes() {
    FakeWorker worker = controller.join("n");
    MicroVm a = create(probe("a"));
    Iterator<WatchMicroVmsResponse> watch = watch(0, "");

    assertEvent(WatchEventType.ADDED, a, watch.next());
    WatchMicroVmsResponse bookmark = watch.next();
    assertEquals(WatchEventType.BOOKMARK, bookmark.getType());
    assertEquals(a.getMeta().getResourceVersion(), bookmark.getResourceVersion());

    Assignment assignment = worker.nextAssignment();
    worker.report(FakeWorker.running(assignment));
    WatchMicroVmsResponse running = watch.next();
    assertEquals(WatchEventType.MODIFIED, running.getType());
    assertEquals(MicroVmState.RUNNING, running.getMicrovm().getStatus().getState());

    controller.client().deleteMicroVm(DeleteMicroVmRequest.newBuilder().setName(name("a")).build());
    assertEquals(MicroVmState.DELETING, watch.next().getMicrovm().getStatus().getState());
    worker.report(FakeWorker.removed(assignment.getUid()));
    WatchMicroVmsResponse deleted = watch.next();
    assertEquals(WatchEventType.DELETED, deleted.getType());
    assertEquals(name("a"), deleted.getMicrovm().getMeta().getName());
    assertTrue(deleted.getResourceVersion() > running.getResourceVersion());
  }

  @Test
  void aWatchGoesOnWhereAListOrAnotherWatchEndedAlsoOverARestart() {
    create(probe("a"));
    long version = list(list()).getResourceVersion();
    MicroVm b = create(probe("b"));
    restart();

    Iterator<WatchMicroVmsResponse> watch = watch(version, "");
    assertEvent(WatchEventType.ADDED, b, watch.next());
    assertEquals(WatchEventType.BOOKMARK, watch.next().getType());
  }

  /** They have one version, and a client may go after any of them. */
  @Test
  void aWatchThatGoesOnAmongSeveralChangesOfOneCommitMissesNone() {
    for (String id : List.of("g1", "g2", "g3")) {
      create(
          probe(
              id,
              spec -> {
                spec.getPlacementBuilder().getGangBuilder().setName("g").setSize(3);
                return spec;
              }));
    }
    Iterator<WatchMicroVmsResponse> watch = watch(list(list()).getResourceVersion(), "");
    assertEquals(WatchEventType.BOOKMARK, watch.next().getType());
    controller.join("n");
    WatchMicroVmsResponse first = watch.next();
    assertEquals("nodes/n", first.getMicrovm().getStatus().getNode());

    Set<String> again = namesUntilBookmark(watch(first.getResourceVersion(), ""));
    again.add(first.getMicrovm().getMeta().getName());
    assertEquals(Set.of(name("g1"), name("g2"), name("g3")), again);
    watch.next();
    WatchMicroVmsResponse last = watch.next();
    assertEquals(last.getMicrovm().getMeta().getResourceVersion(), last.getResourceVersion());
    assertEquals(Set.of(), namesUntilBookmark(watch(last.getResourceVersion(), "")));
  }

  private static Set<String> namesUntilBookmark(Iterator<WatchMicroVmsResponse> watch) {
    Set<String> names = new HashSet<>();
    for (WatchMicroVmsResponse event = watch.next();
        event.getType() != WatchEventType.BOOKMARK;
        event = watch.next()) {
      names.add(event.getMicrovm().getMeta().getName());
    }
    return names;
  }

  @Test
  void aWatchShowsOnlyWhatItsSelectorSelects() {
    create("a", Map.of("app", "x"));
    MicroVm b = create("b", Map.of("app", "y"));
    Iterator<WatchMicroVmsResponse> watch = watch(0, "app=y");

    assertEvent(WatchEventType.ADDED, b, watch.next());
    assertEquals(WatchEventType.BOOKMARK, watch.next().getType());
    create("c", Map.of("app", "x"));
    assertEvent(WatchEventType.ADDED, create("d", Map.of("app", "y")), watch.next());
  }

  @Test
  void aVersionThatIsNotKnownMustBeListedAgain() {
    create(probe("a"));

    assertRefused(ErrorReason.WATCH_VERSION_TOO_OLD, () -> watch(1_000, "").next());
    assertRefused(ErrorReason.FIELD_INVALID, () -> watch(-1, "").next());
  }

  @Test
  void aClientThatDoesNotReadIsCutOffAndTheOthersAreNot() {
    SlowReader<WatchMicroVmsRequest, WatchMicroVmsResponse> slow = new SlowReader<>(_ -> {});
    MicroVmServiceGrpc.newStub(controller.channel())
        .watchMicroVms(WatchMicroVmsRequest.newBuilder().setParent(PARENT).build(), slow);
    await().until(() -> controller.microVms.feeds() == 1);
    Iterator<WatchMicroVmsResponse> quick = watch(0, "");
    assertEquals(WatchEventType.BOOKMARK, quick.next().getType());

    List<CompletableFuture<MicroVm>> created = new ArrayList<>();
    int changes = MicroVmGrpcService.WATCH_CAPACITY + 200;
    for (int i = 0; i < changes; i++) {
      String id = "vm-" + i;
      created.add(CompletableFuture.supplyAsync(() -> create(probe(id))));
      if (created.size() == 64) {
        created.forEach(CompletableFuture::join);
        created.clear();
      }
      quick.next();
    }
    created.forEach(CompletableFuture::join);

    slow.read(Integer.MAX_VALUE);
    assertRefused(
        ErrorReason.WATCH_TOO_SLOW,
        () -> {
          throw slow.awaitFailure();
        });
    assertEquals(1, controller.meters.counter("vireo.watch.cut.off").count());
    assertTrue(controller.meters.counter("vireo.watch.events").count() >= changes);
    await().until(() -> controller.microVms.feeds() == 1);
  }

  @Test
  void aClientThatGoesLeavesNothing() {
    Context.CancellableContext client = Context.current().withCancellation();
    client.run(() -> watch(0, "").next());
    assertEquals(1, controller.microVms.feeds());
    client.cancel(null);

    await().until(() -> controller.microVms.feeds() == 0);
  }

  private Iterator<WatchMicroVmsResponse> watch(long version, String selector) {
    return controller
        .client()
        .watchMicroVms(
            WatchMicroVmsRequest.newBuilder()
                .setParent(PARENT)
                .setResourceVersion(version)
                .setLabelSelector(selector)
                .build());
  }

  private static void assertEvent(
      WatchEventType type, MicroVm microVm, WatchMicroVmsResponse event) {
    assertEquals(type, event.getType());
    assertEquals(microVm, event.getMicrovm());
    assertEquals(microVm.getMeta().getResourceVersion(), event.getResourceVersion());
    assertFalse(event.getMicrovm().getMeta().getEtag().isEmpty());
  }
}
