package dev.vireo.controller.store;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.controller.store.StoreException.Unavailable;
import dev.vireo.controller.store.StoreException.Unusable;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The embedded store keeps every store's promises, and leaves alone what it does not understand.
 */
final class SqliteStoreTest extends StoreConformance {
  private static final int TOMBSTONES = 100;

  @TempDir private Path directory;
  private final MovableClock clock = new MovableClock();

  private Path file() {
    return directory.resolve("vireo.db");
  }

  @Override
  SqliteStore open() {
    return SqliteStore.open(SqliteFile.open(file()), clock, TOMBSTONES, new SimpleMeterRegistry());
  }

  @Override
  Duration leaseTime() {
    return Duration.ofMinutes(10);
  }

  @Override
  Instant now() {
    return clock.now;
  }

  @Override
  void elapse() {
    clock.now = clock.now.plus(Duration.ofMinutes(1));
    // The store looks at its own pace; a test does not wait for it.
    ((SqliteStore) current()).expireSoon();
  }

  @Override
  int deletionsKept() {
    return TOMBSTONES;
  }

  @Test
  void theFileIsItsOwnersAlone() throws IOException {
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file())));
  }

  @Test
  void aSecondProcessIsRefused() {
    Unusable refused = assertThrows(Unusable.class, this::open);

    assertTrue(refused.getMessage().contains("open in another process"), refused.getMessage());
  }

  @Test
  void commitsThatWaitShareATransaction() {
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    closeStore();
    try (SqliteStore store = SqliteStore.open(file(), clock, meters)) {
      List<CompletableFuture<Long>> commits =
          IntStream.range(0, 500)
              .mapToObj(i -> store.commit(List.of(new Write.Put("k" + i, Write.ABSENT, bytes("")))))
              .toList();
      commits.forEach(StoreConformance::join);
      assertEquals(500, meters.get("vireo.store.commit.batch").summary().totalAmount());
      assertTrue(meters.get("vireo.store.commit").timer().count() < 250);
    }
  }

  @Test
  void howeverManyKeysExpireTheyGoAtOnce() {
    Lifetime minute = new Lifetime.AtLeast(Duration.ofMinutes(1));
    List<CompletableFuture<Long>> commits =
        IntStream.range(0, 2_500)
            .mapToObj(i ->
                current().commit(List.of(new Write.Put("k" + i, Write.ABSENT, bytes(""), minute))))
            .toList();
    commits.forEach(StoreConformance::join);

    elapse();

    Awaitility.await().until(() -> join(current().list("")).entries().isEmpty());
  }

  @Test
  void aNewerSchemaIsRefusedAndLeftAsItIs() throws Exception {
    closeStore();
    sql("PRAGMA user_version = " + (SqliteFile.SCHEMA_VERSION + 1));
    byte[] before = Files.readAllBytes(file());

    Unusable refused = assertThrows(Unusable.class, this::open);

    assertTrue(refused.getMessage().contains("newer release"), refused.getMessage());
    assertArrayEquals(before, Files.readAllBytes(file()));
  }

  @Test
  void anotherProgramsDatabaseIsRefusedAndLeftAsItIs() throws Exception {
    closeStore();
    Files.delete(file());
    sql("CREATE TABLE theirs (x)");
    byte[] before = Files.readAllBytes(file());

    Unusable refused = assertThrows(Unusable.class, this::open);

    assertTrue(refused.getMessage().contains("not Vireo's"), refused.getMessage());
    assertArrayEquals(before, Files.readAllBytes(file()));
  }

  @Test
  void whatIsNoDatabaseIsRefusedAndLeftAsItIs() throws Exception {
    closeStore();
    Files.writeString(file(), "precious words, and many of them\n".repeat(200));
    byte[] before = Files.readAllBytes(file());

    Unusable refused = assertThrows(Unusable.class, this::open);

    assertTrue(refused.getMessage().contains("corrupt"), refused.getMessage());
    assertArrayEquals(before, Files.readAllBytes(file()));
  }

  @Test
  void aDamagedPageIsSeenAndLeftAsItIs() throws Exception {
    closeStore();
    try (SqliteStore store = open()) {
      for (int i = 0; i < 200; i++) {
        join(store.commit(List.of(new Write.Put("k" + i, Write.ABSENT, bytes("v".repeat(200))))));
      }
    }
    byte[] damaged = Files.readAllBytes(file());
    for (int page = 4; page < damaged.length / 4096; page++) {
      damaged[page * 4096 + 3] ^= 0x55;
    }
    Files.write(file(), damaged);

    Unusable refused = assertThrows(Unusable.class, this::open);

    assertTrue(refused.getMessage().contains("corrupt"), refused.getMessage());
    assertArrayEquals(damaged, Files.readAllBytes(file()));
  }

  @Test
  void whereNothingCanBeWrittenItSaysSo() {
    assertThrows(
        Unavailable.class,
        () -> SqliteStore.open(Path.of("/proc/vireo-test.db"), clock, new SimpleMeterRegistry()));
  }

  @Test
  void onAFullDiskCommitsFailNothingIsLostAndWorkGoesOnWhenThereIsRoom() throws Exception {
    closeStore();
    SqliteFile limited = SqliteFile.open(file());
    limited.execute("PRAGMA max_page_count = 20");
    try (SqliteStore store =
        SqliteStore.open(limited, clock, TOMBSTONES, new SimpleMeterRegistry())) {
      long kept = join(store.commit(List.of(new Write.Put("kept", Write.ABSENT, bytes("1")))));
      Write large = new Write.Put("large", Write.ABSENT, bytes("x".repeat(200_000)));

      assertInstanceOf(Unavailable.class, failure(store.commit(List.of(large))));

      assertEquals(kept, join(store.get("kept")).orElseThrow().version());
      assertTrue(join(store.get("large")).isEmpty());
      long next = join(store.commit(List.of(new Write.Put("small", Write.ABSENT, bytes("1")))));
      assertEquals(kept + 1, next);
    }
  }

  private void sql(String statement) throws SQLException {
    try (Connection connection = DriverManager.getConnection("jdbc:sqlite:" + file());
        Statement execute = connection.createStatement()) {
      execute.execute(statement);
    }
  }

  private static final class MovableClock extends Clock {
    private volatile Instant now = Instant.parse("2026-01-01T00:00:00Z");

    @Override
    public Instant instant() {
      return now;
    }

    @Override
    public ZoneId getZone() {
      return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(ZoneId zone) {
      throw new UnsupportedOperationException();
    }
  }
}
