package dev.vireo.controller.store;

import static dev.vireo.controller.store.StoreConformance.bytes;
import static dev.vireo.controller.store.StoreConformance.join;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vireo.controller.store.EtcdOptions.Tls;
import dev.vireo.controller.time.TimeSource;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From one kind of store to the other and back again, all is there; and nothing is overwritten. */
final class StoreCopyTest {
  private static final int KEYS = 250;
  private static final Duration LIFETIME = Duration.ofHours(1);
  private static final MeterRegistry METERS = new SimpleMeterRegistry();

  @TempDir private Path directory;

  @Test
  void toEtcdAndBackNothingIsLost() throws Exception {
    assumeTrue(EtcdServer.isInstalled(), "etcd is not installed (Debian: etcd-server)");
    try (EtcdServer server = EtcdServer.start();
        Store etcd = etcd(server);
        Store before = sqlite("before");
        Store after = sqlite("after")) {
      fill(before);

      assertEquals(KEYS + 1, new StoreCopy(before, etcd, LIFETIME).run());
      assertEquals(KEYS + 1, new StoreCopy(etcd, after, LIFETIME).run());

      assertEquals(content(before), content(etcd));
      assertEquals(content(before), content(after));
    }
  }

  @Test
  void aTargetThatHasSomethingIsLeftAsItIs() {
    try (Store from = sqlite("from");
        Store to = sqlite("to")) {
      fill(from);
      join(to.commit(List.of(new Write.Put("theirs", 0, bytes("1")))));

      StoreCopy.Failed refused =
          assertThrows(StoreCopy.Failed.class, () -> new StoreCopy(from, to, LIFETIME).run());

      assertEquals("the store to copy to is not empty: it has 1 keys", refused.getMessage());
      assertEquals(Map.of("theirs", "1"), content(to));
    }
  }

  @Test
  void anEmptySourceIsAMistake() {
    try (Store from = sqlite("from");
        Store to = sqlite("to")) {
      assertThrows(StoreCopy.Failed.class, () -> new StoreCopy(from, to, LIFETIME).run());
    }
  }

  @Test
  void aSourceInUseIsNoticed() {
    try (Store from = sqlite("from");
        Store to = sqlite("to")) {
      fill(from);

      StoreCopy.Failed refused =
          assertThrows(
              StoreCopy.Failed.class,
              () -> new StoreCopy(from, new Busy(to, from), LIFETIME).run());

      assertEquals(
          "the store to copy from has changed meanwhile: stop its controllers",
          refused.getMessage());
    }
  }

  @Test
  void requestsThatHaveExpiredAreCopiedAndTheSourceIsLeftAsItIs() throws Exception {
    try (Store before = sqlite("from")) {
      fill(before);
    }
    try (Store from = SqliteStore.openAsItIs(directory.resolve("from"), later(), METERS);
        Store to = sqlite("to")) {
      assertEquals(KEYS + 1, new StoreCopy(from, to, LIFETIME).run());

      assertEquals(content(from), content(to));
    }
  }

  @Test
  void aRequestThatExpiresMeanwhileIsNoChangeOfTheSource() throws Exception {
    try (Store from = sqlite("from");
        Store to = sqlite("to")) {
      fill(from);

      assertEquals(KEYS + 1, new StoreCopy(from, new Forgetting(to, from), LIFETIME).run());

      assertEquals(KEYS, content(from).size());
    }
  }

  /** The source forgets its request with the first commit to the target. */
  private static final class Forgetting extends ForwardingStore {
    private final Store source;

    Forgetting(Store target, Store source) {
      super(target);
      this.source = source;
    }

    @Override
    public CompletableFuture<Long> commit(List<Write> writes) {
      join(source.get("requests/r"))
          .ifPresent(request ->
              join(source.commit(List.of(new Write.Delete(request.key(), request.version())))));
      return super.commit(writes);
    }
  }

  private static Clock later() {
    return Clock.offset(Clock.systemUTC(), LIFETIME.multipliedBy(2));
  }

  private Store sqlite(String name) {
    return SqliteStore.open(directory.resolve(name), Clock.systemUTC(), new SimpleMeterRegistry());
  }

  private static Store etcd(EtcdServer server) {
    EtcdOptions options =
        new EtcdOptions(
            List.of(server.endpoint()),
            "/vireo/",
            "test",
            Tls.DEFAULT,
            Optional.empty(),
            Duration.ofSeconds(10));
    return EtcdStore.open(options, TimeSource.system());
  }

  private static void fill(Store store) {
    for (int i = 0; i < KEYS; i++) {
      Write put = new Write.Put("microvms/vm" + i, 0, bytes("v".repeat(i) + i));
      join(store.commit(List.of(put)));
    }
    join(
        store.commit(
            List.of(new Write.Put("requests/r", 0, bytes("r"), new Lifetime.AtLeast(LIFETIME)))));
  }

  private static Map<String, String> content(Store store) {
    Map<String, String> content = new TreeMap<>();
    join(store.list(""))
        .entries()
        .forEach(entry -> content.put(entry.key(), entry.value().toStringUtf8()));
    return content;
  }

  /** Somebody writes to the source with each commit to the target. */
  private static final class Busy extends ForwardingStore {
    private final Store source;

    Busy(Store target, Store source) {
      super(target);
      this.source = source;
    }

    @Override
    public CompletableFuture<Long> commit(List<Write> writes) {
      String key = "late" + System.identityHashCode(writes);
      join(source.commit(List.of(new Write.Put(key, 0, bytes("1")))));
      return super.commit(writes);
    }
  }
}
