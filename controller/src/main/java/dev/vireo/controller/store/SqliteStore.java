package dev.vireo.controller.store;

import static java.util.Objects.requireNonNull;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.StoreException.Compacted;
import dev.vireo.controller.store.StoreException.Conflict;
import dev.vireo.controller.store.StoreException.LeaseEnded;
import dev.vireo.controller.store.StoreException.TooLarge;
import dev.vireo.controller.store.StoreException.Unavailable;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.nio.file.Path;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jboss.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * The store in one SQLite file (write-ahead log, synchronous FULL).
 *
 * <p>One thread owns the connection and does everything in the order it was asked. Commits that
 * wait while another is being synchronized to disk go into the next SQLite transaction together, so
 * that one fsync serves them all.
 *
 * <p>Deleted keys leave a tombstone, by which a watch resumes; the newest {@value #TOMBSTONES} are
 * kept.
 */
public final class SqliteStore implements Store {
  private static final Logger LOG = Logger.getLogger(SqliteStore.class);

  /** How many deletions are remembered at least. */
  private static final int TOMBSTONES = 10_000;

  /** The most commits that share a transaction: bounds how long the first of them waits. */
  private static final int MAX_BATCH = 256;

  private static final Duration EXPIRY_PERIOD = Duration.ofSeconds(30);
  private static final int EXPIRY_BATCH = 1_000;

  private final LinkedBlockingQueue<Command> commands = new LinkedBlockingQueue<>();
  private final List<GuardedWatcher> subscriptions = new CopyOnWriteArrayList<>();
  private final SqliteFile file;
  private final Clock clock;
  private final int tombstonesKept;
  private final boolean expires;
  private final Thread thread;
  private final Timer commitTimer;
  private final DistributionSummary batchSizes;

  // What follows belongs to the store's thread.
  private long version;
  private long oldestVersion;
  private long tombstones;
  private final Map<Long, Granted> leases = new HashMap<>();
  private final Map<String, Granted> leaseOfKey = new HashMap<>();
  private long leasesGranted;
  private long nextExpiryNanos = System.nanoTime();
  private boolean closing;

  private volatile boolean closed;

  private sealed interface Command {
    record Commit(List<Write> writes, CompletableFuture<Long> done) implements Command {}

    /** Anything else, done between transactions. */
    record Task(Runnable work, CompletableFuture<?> done) implements Command {}

    CompletableFuture<?> done();
  }

  private SqliteStore(
      SqliteFile file, Clock clock, int tombstonesKept, boolean expires, MeterRegistry meters)
      throws SQLException {
    this.file = file;
    this.clock = clock;
    this.tombstonesKept = tombstonesKept;
    this.expires = expires;
    this.commitTimer =
        Timer.builder("vireo.store.commit")
            .description("A durable transaction, which may serve several commits")
            .publishPercentileHistogram()
            .register(meters);
    this.batchSizes =
        DistributionSummary.builder("vireo.store.commit.batch")
            .description("Commits that shared a transaction")
            .baseUnit("commits")
            .register(meters);
    readCounters();
    this.thread = Thread.ofPlatform().name("store").start(this::run);
  }

  /**
   * Opens the store, and makes it if there is none.
   *
   * @throws StoreException.Unusable when it is corrupt, foreign, newer, or open elsewhere
   * @throws StoreException.Unavailable when the file cannot be read or written
   */
  public static SqliteStore open(Path path, Clock clock, MeterRegistry meters) {
    return open(SqliteFile.open(path), clock, TOMBSTONES, meters);
  }

  /** The same, for who only reads: what has outlived its lease stays, too. */
  public static SqliteStore openAsItIs(Path path, Clock clock, MeterRegistry meters) {
    return open(SqliteFile.open(path), clock, TOMBSTONES, false, meters);
  }

  static SqliteStore open(SqliteFile file, Clock clock, int tombstonesKept, MeterRegistry meters) {
    return open(file, clock, tombstonesKept, true, meters);
  }

  private static SqliteStore open(
      SqliteFile file, Clock clock, int tombstonesKept, boolean expires, MeterRegistry meters) {
    try {
      return new SqliteStore(file, clock, tombstonesKept, expires, meters);
    } catch (SQLException e) {
      file.close();
      throw unavailable(e);
    }
  }

  @Override
  public CompletableFuture<Long> commit(List<Write> writes) {
    Optional<TooLarge> tooLarge = TooLarge.check(writes);
    if (tooLarge.isPresent()) {
      return CompletableFuture.failedFuture(tooLarge.get());
    }
    CompletableFuture<Long> done = new CompletableFuture<>();
    enqueue(new Command.Commit(List.copyOf(writes), done));
    return done;
  }

  /** Everything is done in the order that it was asked in. */
  @Override
  public CompletableFuture<Void> barrier() {
    return ask(() -> true).thenRun(() -> {});
  }

  @Override
  public CompletableFuture<Optional<Entry>> get(String key) {
    return ask(() -> find(key));
  }

  @Override
  public CompletableFuture<Listing> list(String prefix) {
    return ask(() -> new Listing(entries(prefix, 0), version, oldestVersion));
  }

  @Override
  public CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher) {
    return ask(() -> {
      if (afterVersion < oldestVersion) {
        throw new Compacted(afterVersion, oldestVersion);
      }
      List<Change> missed = changes(prefix, afterVersion);
      GuardedWatcher subscription = new GuardedWatcher(prefix, watcher);
      if (!missed.isEmpty()) {
        subscription.onChanges(missed);
      }
      subscriptions.add(subscription);
      return () -> subscriptions.remove(subscription);
    });
  }

  @Override
  public CompletableFuture<Lease> lease(Duration time) {
    return ask(() -> {
      Granted lease = new Granted(++leasesGranted, time, clock.millis() + time.toMillis());
      leases.put(lease.id, lease);
      return lease;
    });
  }

  /**
   * A lease, of which the file knows but the moment at which its keys go: after a restart there is
   * nobody who could keep it alive.
   */
  private final class Granted implements Lease {
    private final long id;
    private final Duration time;
    private final Set<String> keys = new HashSet<>();
    private long endMillis;

    Granted(long id, Duration time, long endMillis) {
      this.id = id;
      this.time = time;
      this.endMillis = endMillis;
    }

    @Override
    public long id() {
      return id;
    }

    @Override
    public CompletableFuture<Void> keepAlive() {
      return ask(
              () -> {
                if (hasEnded(this)) {
                  throw new LeaseEnded();
                }
                prolong(this, clock.millis() + time.toMillis());
                return true;
              })
          .thenRun(() -> {});
    }

    @Override
    public CompletableFuture<Void> end() {
      return ask(
              () -> {
                if (!hasEnded(this)) {
                  prolong(this, clock.millis());
                  expire();
                }
                return true;
              })
          .thenRun(() -> {});
    }
  }

  /** Removes what has outlived its lease now, and not only at the next look. */
  void expireSoon() {
    enqueue(new Command.Task(this::expire, new CompletableFuture<>()));
  }

  @Override
  public void close() {
    enqueue(new Command.Task(() -> closing = true, new CompletableFuture<>()));
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  // ---- the store's thread

  private void run() {
    try (file) {
      while (!closing) {
        Command first = commands.poll(millisToNextExpiry(), TimeUnit.MILLISECONDS);
        if (first != null) {
          execute(first);
        }
        if (millisToNextExpiry() == 0) {
          expire();
        }
      }
    } catch (InterruptedException e) {
      LOG.error("store interrupted: no more commits", e);
    } finally {
      closed = true;
      failRemaining();
    }
  }

  private void execute(Command first) {
    @Nullable Command next = first;
    while (next != null) {
      switch (next) {
        case Command.Task(Runnable work, CompletableFuture<?> _) -> {
          work.run();
          next = null;
        }
        case Command.Commit commit -> {
          List<Command.Commit> batch = new ArrayList<>();
          batch.add(commit);
          next = drainCommits(batch);
          commitBatch(batch);
        }
      }
    }
  }

  /** Takes the commits that wait. Returns the task that ended their row, if one did. */
  private @Nullable Command drainCommits(List<Command.Commit> batch) {
    while (batch.size() < MAX_BATCH) {
      switch (commands.poll()) {
        case null -> {
          return null;
        }
        case Command.Commit commit -> batch.add(commit);
        case Command.Task task -> {
          return task;
        }
      }
    }
    return null;
  }

  private void commitBatch(List<Command.Commit> batch) {
    long before = version;
    List<Runnable> answers = new ArrayList<>();
    List<Change> changes = new ArrayList<>();
    long start = System.nanoTime();
    try {
      begin();
      for (Command.Commit commit : batch) {
        if (commit.writes.stream().anyMatch(this::isTooLate)) {
          answers.add(() -> commit.done.completeExceptionally(new LeaseEnded()));
          continue;
        }
        Set<String> conflicts = conflicts(commit.writes);
        if (conflicts.isEmpty()) {
          version++;
          long committed = version;
          for (Write write : commit.writes) {
            apply(write).ifPresent(changes::add);
          }
          answers.add(() -> {
            commit.writes.forEach(this::bind);
            commit.done.complete(committed);
          });
        } else {
          answers.add(() -> commit.done.completeExceptionally(new Conflict(conflicts)));
        }
      }
      end(changes);
    } catch (SQLException e) {
      rollback(before);
      Unavailable unavailable = unavailable(e);
      LOG.errorf("store cannot commit: %s", unavailable.getMessage());
      batch.forEach(commit -> commit.done.completeExceptionally(unavailable));
      return;
    }
    commitTimer.record(System.nanoTime() - start, TimeUnit.NANOSECONDS);
    batchSizes.record(batch.size());
    publish(changes);
    answers.forEach(Runnable::run);
  }

  private Set<String> conflicts(List<Write> writes) throws SQLException {
    Set<String> conflicts = new HashSet<>();
    for (Write write : writes) {
      long actual = find(write.key()).map(Entry::version).orElse(Write.ABSENT);
      if (actual != write.expectedVersion()) {
        conflicts.add(write.key());
      }
    }
    return conflicts;
  }

  private Optional<Change> apply(Write write) throws SQLException {
    return switch (write) {
      case Write.Put put -> Optional.of(put(put));
      case Write.Delete(String key, long _) -> Optional.of(delete(key));
      case Write.Unchanged _ -> Optional.empty();
    };
  }

  private Change put(Write.Put put) throws SQLException {
    long created =
        put.expectedVersion() == Write.ABSENT
            ? version
            : find(put.key()).map(Entry::createdVersion).orElseThrow();
    PreparedStatement statement =
        file.prepare(
            "INSERT OR REPLACE INTO entry(key, value, version, created_version, expires_ms)"
                + " VALUES (?, ?, ?, ?, ?)");
    statement.setString(1, put.key());
    statement.setBytes(2, put.value().toByteArray());
    statement.setLong(3, version);
    statement.setLong(4, created);
    switch (put.lifetime()) {
      case Lifetime.Unlimited() -> statement.setNull(5, Types.INTEGER);
      case Lifetime.AtLeast(Duration time) ->
          statement.setLong(5, clock.millis() + time.toMillis());
      case Lifetime.Leased(Lease lease) ->
          statement.setLong(5, requireNonNull(leases.get(lease.id())).endMillis);
    }
    statement.executeUpdate();
    return new Change.Updated(new Entry(put.key(), put.value(), version, created));
  }

  private Change delete(String key) throws SQLException {
    ByteString last = find(key).map(Entry::value).orElseThrow();
    PreparedStatement delete = file.prepare("DELETE FROM entry WHERE key = ?");
    delete.setString(1, key);
    delete.executeUpdate();
    PreparedStatement bury =
        file.prepare("INSERT INTO tombstone(version, key, value) VALUES (?, ?, ?)");
    bury.setLong(1, version);
    bury.setString(2, key);
    bury.setBytes(3, last.toByteArray());
    bury.executeUpdate();
    tombstones++;
    return new Change.Deleted(key, last, version);
  }

  // ---- leases

  private boolean isTooLate(Write write) {
    return write instanceof Write.Put(_, _, _, Lifetime.Leased(Lease lease)) && hasEnded(lease);
  }

  private boolean hasEnded(Lease lease) {
    Granted granted = leases.get(lease.id());
    return granted == null || granted.endMillis <= clock.millis();
  }

  /** Once it is committed. */
  private void bind(Write write) {
    if (write instanceof Write.Unchanged) {
      return;
    }
    Granted before = leaseOfKey.remove(write.key());
    if (before != null) {
      before.keys.remove(write.key());
    }
    if (write instanceof Write.Put(_, _, _, Lifetime.Leased(Lease lease))) {
      Granted granted = requireNonNull(leases.get(lease.id()));
      granted.keys.add(write.key());
      leaseOfKey.put(write.key(), granted);
    }
  }

  private void prolong(Granted lease, long endMillis) throws SQLException {
    if (!lease.keys.isEmpty()) {
      begin();
      try {
        PreparedStatement statement = file.prepare("UPDATE entry SET expires_ms = ? WHERE key = ?");
        for (String key : lease.keys) {
          statement.setLong(1, endMillis);
          statement.setString(2, key);
          statement.executeUpdate();
        }
        end(List.of());
      } catch (SQLException e) {
        rollback(version);
        throw e;
      }
    }
    lease.endMillis = endMillis;
  }

  private long millisToNextEnd() {
    long now = clock.millis();
    return leases.values().stream()
        .mapToLong(lease -> Math.max(0, lease.endMillis - now))
        .reduce(EXPIRY_PERIOD.toMillis(), Math::min);
  }

  private long millisToNextExpiry() {
    long left = TimeUnit.NANOSECONDS.toMillis(nextExpiryNanos - System.nanoTime());
    return Math.max(0, Math.min(left, millisToNextEnd()));
  }

  private void forgetEnded(Collection<String> keysGone) {
    long now = clock.millis();
    leases.values().removeIf(lease -> lease.endMillis <= now);
    keysGone.forEach(leaseOfKey::remove);
  }

  /** Removes what has outlived its lease: much of it piece by piece, so that no commit waits. */
  private void expire() {
    nextExpiryNanos = System.nanoTime() + EXPIRY_PERIOD.toNanos();
    if (!expires) {
      forgetEnded(List.of());
      return;
    }
    long before = version;
    List<Change> changes = new ArrayList<>();
    try {
      Deque<String> expired = expiredKeys();
      if (expired.isEmpty()) {
        forgetEnded(expired);
        return;
      }
      begin();
      version++;
      for (String key : expired) {
        changes.add(delete(key));
      }
      end(changes);
    } catch (SQLException e) {
      rollback(before);
      LOG.warnf("store cannot expire: %s", unavailable(e).getMessage());
      return;
    }
    forgetEnded(changes.stream().map(Change::key).toList());
    publish(changes);
    if (changes.size() == EXPIRY_BATCH) {
      nextExpiryNanos = System.nanoTime();
    }
  }

  private Deque<String> expiredKeys() throws SQLException {
    PreparedStatement statement =
        file.prepare("SELECT key FROM entry WHERE expires_ms <= ? LIMIT " + EXPIRY_BATCH);
    statement.setLong(1, clock.millis());
    Deque<String> keys = new ArrayDeque<>();
    try (ResultSet rows = statement.executeQuery()) {
      while (rows.next()) {
        keys.add(rows.getString(1));
      }
    }
    return keys;
  }

  private void begin() throws SQLException {
    file.execute("BEGIN IMMEDIATE");
  }

  private void end(List<Change> changes) throws SQLException {
    if (!changes.isEmpty()) {
      // With some slack, so that this is not done for each deletion.
      if (tombstones > tombstonesKept + tombstonesKept / 10) {
        compact();
      }
      PreparedStatement statement =
          file.prepare("UPDATE store SET version = ?, oldest_version = ?");
      statement.setLong(1, version);
      statement.setLong(2, oldestVersion);
      statement.executeUpdate();
    }
    file.execute("COMMIT");
  }

  /** Forgets all but the newest tombstones. */
  private void compact() throws SQLException {
    PreparedStatement cut =
        file.prepare("SELECT version FROM tombstone ORDER BY version DESC LIMIT 1 OFFSET ?");
    cut.setInt(1, tombstonesKept);
    try (ResultSet row = cut.executeQuery()) {
      if (!row.next()) {
        return;
      }
      oldestVersion = row.getLong(1);
    }
    PreparedStatement delete = file.prepare("DELETE FROM tombstone WHERE version <= ?");
    delete.setLong(1, oldestVersion);
    tombstones -= delete.executeUpdate();
  }

  /** Takes back what a failed transaction counted. */
  private void rollback(long versionBefore) {
    version = versionBefore;
    try {
      file.rollback();
      readCounters();
    } catch (SQLException e) {
      // The medium is still in trouble; the next commit will tell.
      LOG.debug("rollback", e);
    }
  }

  private void publish(List<Change> changes) {
    for (GuardedWatcher subscription : subscriptions) {
      List<Change> seen =
          changes.stream()
              .filter(change -> change.key().startsWith(subscription.prefix()))
              .toList();
      if (!seen.isEmpty()) {
        subscription.onChanges(seen);
      }
    }
  }

  // ---- reading, on the store's thread

  private void readCounters() throws SQLException {
    try (ResultSet row =
        file.prepare("SELECT version, oldest_version, (SELECT count(*) FROM tombstone) FROM store")
            .executeQuery()) {
      row.next();
      version = row.getLong(1);
      oldestVersion = row.getLong(2);
      tombstones = row.getLong(3);
    }
  }

  private Optional<Entry> find(String key) throws SQLException {
    PreparedStatement statement =
        file.prepare("SELECT key, value, version, created_version FROM entry WHERE key = ?");
    statement.setString(1, key);
    try (ResultSet row = statement.executeQuery()) {
      return row.next() ? Optional.of(entry(row)) : Optional.empty();
    }
  }

  private List<Entry> entries(String prefix, long afterVersion) throws SQLException {
    PreparedStatement statement =
        file.prepare(
            "SELECT key, value, version, created_version FROM entry"
                + " WHERE key >= ? AND key < ? AND version > ? ORDER BY key");
    bindRange(statement, prefix);
    statement.setLong(3, afterVersion);
    List<Entry> entries = new ArrayList<>();
    try (ResultSet rows = statement.executeQuery()) {
      while (rows.next()) {
        entries.add(entry(rows));
      }
    }
    return entries;
  }

  private List<Change> changes(String prefix, long afterVersion) throws SQLException {
    List<Change> changes = new ArrayList<>();
    PreparedStatement statement =
        file.prepare(
            "SELECT key, value, version FROM tombstone"
                + " WHERE key >= ? AND key < ? AND version > ?");
    bindRange(statement, prefix);
    statement.setLong(3, afterVersion);
    try (ResultSet rows = statement.executeQuery()) {
      while (rows.next()) {
        changes.add(
            new Change.Deleted(
                rows.getString(1), ByteString.copyFrom(rows.getBytes(2)), rows.getLong(3)));
      }
    }
    entries(prefix, afterVersion).forEach(entry -> changes.add(new Change.Updated(entry)));
    changes.sort(Comparator.comparingLong(Change::version));
    return changes;
  }

  /** All keys that begin with a prefix; U+10FFFF comes after every character that keys have. */
  private static void bindRange(PreparedStatement statement, String prefix) throws SQLException {
    statement.setString(1, prefix);
    statement.setString(2, prefix + Character.toString(Character.MAX_CODE_POINT));
  }

  private static Entry entry(ResultSet row) throws SQLException {
    return new Entry(
        row.getString(1), ByteString.copyFrom(row.getBytes(2)), row.getLong(3), row.getLong(4));
  }

  // ---- asking

  private <T> CompletableFuture<T> ask(Query<T> query) {
    CompletableFuture<T> answer = new CompletableFuture<>();
    Runnable work =
        () -> {
          try {
            answer.complete(query.run());
          } catch (SQLException e) {
            answer.completeExceptionally(unavailable(e));
          } catch (StoreException e) {
            answer.completeExceptionally(e);
          }
        };
    enqueue(new Command.Task(work, answer));
    return answer;
  }

  private void enqueue(Command command) {
    commands.add(command);
    if (closed) {
      failRemaining();
    }
  }

  private void failRemaining() {
    for (Command left = commands.poll(); left != null; left = commands.poll()) {
      left.done().completeExceptionally(new Unavailable("the store is closed", null));
    }
  }

  private static Unavailable unavailable(SQLException e) {
    return new Unavailable(String.valueOf(e.getMessage()), e);
  }

  private interface Query<T> {
    T run() throws SQLException;
  }
}
