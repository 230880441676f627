package dev.vireo.controller.microvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVms.Creation;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.store.SqliteStore;
import dev.vireo.controller.store.StoreException;
import dev.vireo.controller.testing.DeafStore;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.store.v1.RequestRecord;
import dev.vireo.proto.v1.MicroVmSpec;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class MicroVmsTest {
  private static final Selection ALL = new Selection("p", Map.of());
  private static final Instant NOW = Instant.parse("2026-01-01T00:00:00Z");

  @TempDir private Path directory;
  private SqliteStore store;
  private MicroVms microVms;

  @BeforeEach
  void open() {
    store =
        SqliteStore.open(
            directory.resolve("vireo.db"), Clock.systemUTC(), new SimpleMeterRegistry());
    microVms = MicroVms.open(store, Duration.ofHours(1));
  }

  @AfterEach
  void close() {
    microVms.close();
    store.close();
  }

  @Test
  void whatWasCreatedIsFoundAtOnceAndAfterARestart() {
    StoredMicroVm created = create("a");

    assertEquals(Optional.of(created), microVms.find(name("a")));
    assertEquals(Optional.of(created), microVms.findByUid(created.uid()));
    assertEquals(created.version(), created.microVm().getMeta().getResourceVersion());
    close();
    open();
    assertEquals(Optional.of(created), microVms.find(name("a")));
    assertEquals(created.version(), microVms.version());
  }

  @Test
  void aNameIsTakenOnce() {
    create("a");

    assertInstanceOf(
        Creation.NameTaken.class,
        microVms.create(name("a"), record("a", Map.of()), "", RequestRecord.getDefaultInstance()));
  }

  @Test
  void aRequestIdIsAnsweredOnceAlsoAfterARestart() {
    RequestRecord request =
        RequestRecord.newBuilder().setDigest(ByteString.copyFromUtf8("digest")).build();
    MicroVmRecord first = record("a", Map.of());
    assertInstanceOf(Creation.Created.class, microVms.create(name("a"), first, "request", request));
    close();
    open();

    assertEquals(
        new Creation.Repeated(request),
        microVms.create(
            name("b"), record("b", Map.of()), "request", RequestRecord.getDefaultInstance()));
    assertTrue(microVms.find(name("b")).isEmpty());
  }

  @Test
  void whatIsTakenBackGoesTogetherWithItsRequestAndWithNobodyElses() {
    StoredMicroVm first = createBy("request", "a");
    microVms.takeBack(first.uid(), "request", _ -> new Verdict.Remove());

    assertEquals(Optional.empty(), microVms.request("request"));
    StoredMicroVm second = createBy("request", "a");
    StoredMicroVm other = create("b");
    microVms.takeBack(first.uid(), "request", _ -> new Verdict.Remove());
    microVms.takeBack(other.uid(), "request", _ -> new Verdict.Remove());
    assertEquals(
        second.uid(), microVms.request("request").orElseThrow().getAnswer().getMeta().getUid());
  }

  @Test
  void anUpdateThatLosesARaceSeesTheWinnersAndTriesAgain() {
    StoredMicroVm created = create("a");
    List<Long> seen = new ArrayList<>();

    Optional<StoredMicroVm> updated =
        microVms.update(
            created.uid(),
            before -> {
              seen.add(before.version());
              if (seen.size() == 1) {
                label(created.uid(), "winner");
              }
              return labelled(before, before.microVm().getMeta().getLabelsOrDefault("x", "") + "+");
            });

    assertEquals(2, seen.size());
    assertEquals("winner+", updated.orElseThrow().microVm().getMeta().getLabelsOrThrow("x"));
  }

  @Test
  void anUpdateThatChangesNothingWritesNothing() {
    StoredMicroVm created = create("a");

    assertEquals(
        Optional.of(created),
        microVms.update(created.uid(), before -> new Verdict.Put(before.record())));
    assertEquals(created.version(), microVms.version());
  }

  @Test
  void aFeedBeginsWithEverythingAndGoesOn() throws Exception {
    StoredMicroVm a = create("a");
    try (ChangeFeed feed = microVms.feed(ALL, 0, 10)) {
      StoredMicroVm b = create("b");
      StoredMicroVm changed = label(a.uid(), "1");
      remove(b.uid());

      assertEquals(List.of(new MicroVmChange.Added(a)), missed(feed));
      assertEquals(new MicroVmChange.Added(b), next(feed));
      assertEquals(new MicroVmChange.Modified(changed), next(feed));
      assertEquals(new MicroVmChange.Removed(b, microVms.version()), next(feed));
    }
    assertEquals(0, microVms.feeds());
  }

  @Test
  void aFeedResumesAlsoAfterARestart() {
    StoredMicroVm a = create("a");
    StoredMicroVm b = create("b");
    long seen = microVms.version();
    StoredMicroVm changed = label(a.uid(), "1");
    remove(b.uid());
    long removedAt = microVms.version();
    StoredMicroVm c = create("c");
    close();
    open();

    try (ChangeFeed feed = microVms.feed(ALL, seen, 10)) {
      assertEquals(
          List.of(
              new MicroVmChange.Modified(changed),
              new MicroVmChange.Removed(b, removedAt),
              new MicroVmChange.Added(c)),
          missed(feed).stream().map(MicroVmsTest::withoutCreatedVersion).toList());
    }
  }

  /** After a restart nobody knows any more when a removed one was created. */
  private static MicroVmChange withoutCreatedVersion(MicroVmChange change) {
    return change instanceof MicroVmChange.Removed(StoredMicroVm last, long version)
        ? new MicroVmChange.Removed(
            StoredMicroVm.of(last.record(), last.version() == version ? 2 : last.version(), 2),
            version)
        : change;
  }

  @Test
  void aFeedFromAVersionThatIsNotYetIsRefused() {
    assertThrows(
        StoreException.Compacted.class, () -> microVms.feed(ALL, microVms.version() + 1, 10));
  }

  @Test
  void aFeedShowsOnlyWhatIsSelected() throws Exception {
    create("a");
    Selection labelled = new Selection(Selection.ALL_PROJECTS, Map.of("x", "1"));
    try (ChangeFeed feed = microVms.feed(labelled, 0, 10)) {
      create("b", Map.of("x", "2"));
      StoredMicroVm c = create("c", Map.of("x", "1", "y", "2"));

      assertEquals(List.of(), missed(feed));
      assertEquals(new MicroVmChange.Added(c), next(feed));
      assertEquals(Optional.empty(), feed.next(Duration.ZERO));
    }
  }

  @Test
  void aReaderThatFallsBehindIsCutOffAndGetsWhatItHad() throws Exception {
    try (ChangeFeed feed = microVms.feed(ALL, 0, 2)) {
      StoredMicroVm a = create("a");
      StoredMicroVm b = create("b");
      create("c");

      assertEquals(new MicroVmChange.Added(a), next(feed));
      assertEquals(new MicroVmChange.Added(b), next(feed));
      assertThrows(ChangeFeed.Overrun.class, () -> feed.next(Duration.ZERO));
      assertEquals(0, microVms.feeds(), "it costs nothing any more");
    }
  }

  @Test
  void whoWaitsIsWokenWhenItIsSoOrWasAlready() {
    StoredMicroVm a = create("a");
    CompletableFuture<Optional<StoredMicroVm>> labelled =
        microVms.when(
            a.uid(), now -> now.filter(m -> m.microVm().getMeta().containsLabels("x")).isPresent());
    CompletableFuture<Optional<StoredMicroVm>> gone = microVms.when(a.uid(), Optional::isEmpty);
    assertFalse(labelled.isDone());

    StoredMicroVm changed = label(a.uid(), "1");
    assertEquals(Optional.of(changed), labelled.join());
    assertFalse(gone.isDone());
    remove(a.uid());
    assertEquals(Optional.empty(), gone.join());
    assertEquals(Optional.empty(), microVms.when(a.uid(), Optional::isEmpty).join());
  }

  @Test
  void pagesGoByNameAndEndWithTheProject() {
    for (String id : List.of("c", "a", "b")) {
      create(id);
    }
    microVms.create(
        new MicroVmName("p-2", "a"),
        Lifecycle.created(
            "projects/p-2/microvms/a",
            UUID.randomUUID().toString(),
            MicroVmSpec.getDefaultInstance(),
            Map.of(),
            Map.of(),
            NOW),
        "",
        RequestRecord.getDefaultInstance());

    MicroVms.Page first = microVms.page(ALL, Optional.empty(), 2);
    MicroVms.Page second = microVms.page(ALL, Optional.of(name("b")), 2);

    assertEquals(List.of("a", "b"), ids(first));
    assertTrue(first.more());
    assertEquals(List.of("c"), ids(second));
    assertFalse(second.more());
    assertEquals(
        4, microVms.page(new Selection("-", Map.of()), Optional.empty(), 10).microVms().size());
  }

  // ---- words of this test

  private static List<String> ids(MicroVms.Page page) {
    return page.microVms().stream()
        .map(microVm -> MicroVmName.parse(microVm.name()).orElseThrow().id())
        .toList();
  }

  private static MicroVmName name(String id) {
    return new MicroVmName("p", id);
  }

  private static MicroVmRecord record(String id, Map<String, String> labels) {
    return Lifecycle.created(
        name(id).toString(),
        UUID.randomUUID().toString(),
        MicroVmSpec.getDefaultInstance(),
        labels,
        Map.of(),
        NOW);
  }

  /** Of a store that had forgotten what changed while it could not be reached. */
  @Test
  void anImageThatMissedChangesIsMadeRightByAListing() {
    DeafStore deaf = new DeafStore(store);
    try (MicroVms image = MicroVms.open(deaf, Duration.ofHours(1))) {
      StoredMicroVm gone = create("gone");
      StoredMicroVm replaced = create("replaced");
      deaf.cutOff();
      remove(gone.uid());
      remove(replaced.uid());
      StoredMicroVm again = create("replaced");
      StoredMicroVm made = create("made");
      assertEquals(Optional.of(gone), image.find(name("gone")));

      deaf.hearAgain();

      assertEquals(Optional.empty(), image.find(name("gone")));
      assertEquals(Optional.empty(), image.findByUid(replaced.uid()));
      assertEquals(Optional.of(again), image.findByUid(again.uid()));
      assertEquals(Optional.of(made), image.find(name("made")));
      StoredMicroVm later = create("later");
      assertEquals(Optional.of(later), image.find(name("later")));
    }
  }

  private StoredMicroVm create(String id) {
    return create(id, Map.of());
  }

  private StoredMicroVm create(String id, Map<String, String> labels) {
    return assertInstanceOf(
            Creation.Created.class,
            microVms.create(name(id), record(id, labels), "", RequestRecord.getDefaultInstance()))
        .microVm();
  }

  private StoredMicroVm createBy(String requestId, String id) {
    MicroVmRecord record = record(id, Map.of());
    RequestRecord request = RequestRecord.newBuilder().setAnswer(record.getMicrovm()).build();
    return assertInstanceOf(
            Creation.Created.class, microVms.create(name(id), record, requestId, request))
        .microVm();
  }

  private StoredMicroVm label(String uid, String value) {
    return microVms.update(uid, before -> labelled(before, value)).orElseThrow();
  }

  private static Verdict labelled(StoredMicroVm before, String value) {
    MicroVmRecord.Builder after = before.record().toBuilder();
    after.getMicrovmBuilder().getMetaBuilder().putLabels("x", value);
    return new Verdict.Put(after.build());
  }

  private void remove(String uid) {
    microVms.update(uid, _ -> new Verdict.Remove());
  }

  private static List<MicroVmChange> missed(ChangeFeed feed) {
    List<MicroVmChange> missed = new ArrayList<>();
    feed.nextMissed()
        .ifPresent(first -> {
          missed.add(first.change());
          missed.addAll(missed(feed));
        });
    return missed;
  }

  private static MicroVmChange next(ChangeFeed feed) throws Exception {
    return feed.next(Duration.ofSeconds(5)).orElseThrow().change();
  }
}
