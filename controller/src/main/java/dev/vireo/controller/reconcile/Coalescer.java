package dev.vireo.controller.reconcile;

import dev.vireo.controller.time.TimeSource;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BiConsumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Handles the last word about each key, one at a time per key: a word that comes while another is
 * being handled replaces what waits. Fit for words that each tell everything.
 *
 * @param <K> what the words are about
 * @param <V> a word
 */
final class Coalescer<K, V> {
  private final BiConsumer<K, V> handler;
  private final Predicate<V> patient;
  private final Duration patience;
  private final TimeSource time;
  private final Executor executor;
  private final ReentrantLock lock = new ReentrantLock();
  private final Map<K, Row> rows = new HashMap<>();

  /** What is said of one key while its words are handled. */
  private final class Row {
    private final Condition replaced = lock.newCondition();

    /** Null while there is nothing newer than what is being handled. */
    private @Nullable V waiting;

    Row(V first) {
      this.waiting = first;
    }
  }

  /**
   * @param patient words that may wait a little, in case a better one follows
   * @param patience how long
   * @param executor runs one task for each key that has words; the tasks block
   */
  Coalescer(
      BiConsumer<K, V> handler,
      Predicate<V> patient,
      Duration patience,
      TimeSource time,
      Executor executor) {
    this.handler = handler;
    this.patient = patient;
    this.patience = patience;
    this.time = time;
    this.executor = executor;
  }

  /** How many keys have words that are handled or wait. */
  int size() {
    lock.lock();
    try {
      return rows.size();
    } finally {
      lock.unlock();
    }
  }

  /** Hands a word in. Does not block. */
  void submit(K key, V word) {
    lock.lock();
    try {
      Row row = rows.get(key);
      if (row == null) {
        Row first = new Row(word);
        rows.put(key, first);
        executor.execute(() -> handleAll(key, first));
      } else {
        row.waiting = word;
        row.replaced.signal();
      }
    } finally {
      lock.unlock();
    }
  }

  /** For the handler: hands its word in again, unless a newer one waits. */
  void resubmit(K key, V word) {
    lock.lock();
    try {
      Row row = rows.get(key);
      if (row != null && row.waiting == null) {
        row.waiting = word;
      }
    } finally {
      lock.unlock();
    }
  }

  private void handleAll(K key, Row row) {
    for (V word = take(key, row); word != null; word = take(key, row)) {
      handler.accept(key, word);
    }
  }

  /** The next word, once it has waited long enough; null, and the row's end, if there is none. */
  private @Nullable V take(K key, Row row) {
    lock.lock();
    try {
      waitForBetter(row);
      V word = row.waiting;
      row.waiting = null;
      if (word == null) {
        rows.remove(key);
      }
      return word;
    } finally {
      lock.unlock();
    }
  }

  /** Leaves a better word time to come, if what waits is patient. The lock is held. */
  private void waitForBetter(Row row) {
    long left = patience.toNanos();
    try {
      while (left > 0 && row.waiting != null && patient.test(row.waiting)) {
        left = time.await(lock, row.replaced, left);
      }
    } catch (InterruptedException e) {
      // Not to be waited for, then.
      Thread.currentThread().interrupt();
    }
  }
}
