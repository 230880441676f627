package dev.vireo.controller.store;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * A small, ordered, versioned key-value store: the only thing in the control plane that outlives
 * it.
 *
 * <p>Each commit is atomic, durable before it is answered, and has a version of its own; versions
 * grow by commit and never go back, also over restarts. Keys are ordered as strings of UTF-8 bytes.
 *
 * <p>All futures fail with a {@link StoreException}. They complete on the store's own thread, which
 * a dependent stage must not block.
 */
public interface Store extends AutoCloseable {
  /** The most writes of a commit: so many microVMs has a gang, which is placed in one. */
  int MAX_WRITES = 256;

  /** The most bytes of a commit's keys and values: etcd takes requests of 1.5 MiB. */
  int MAX_COMMIT_BYTES = 1 << 20;

  /** Waits for an answer. Errors of the store come as they are, not wrapped. */
  static <T> T await(CompletableFuture<T> answer) {
    try {
      return answer.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof StoreException cause) {
        throw cause;
      }
      throw e;
    }
  }

  /**
   * Does all the writes, or none of them.
   *
   * <p>When the future completes, be it with a conflict, every watcher of this process has been
   * told of all commits up to it: who keeps an image of the store by a watch reads there what it
   * wrote.
   *
   * @param writes each of another key; 1 to {@link #MAX_WRITES}, of {@link #MAX_COMMIT_BYTES}, not
   *     counting what is to be unchanged
   * @return the commit's version
   * @throws StoreException.Conflict (in the future) when a key is not at its expected version
   * @throws StoreException.OutcomeUnknown (in the future) when it may have been done, or may yet be
   * @throws StoreException.LeaseEnded (in the future) when it has a lease that has ended
   * @throws StoreException.TooLarge (in the future) when it is beyond these limits
   */
  CompletableFuture<Long> commit(List<Write> writes);

  /**
   * Finds out about the commits that have failed as {@link StoreException.OutcomeUnknown}: when the
   * future completes, each of those is done, and the watchers have been told, or it never will be.
   */
  CompletableFuture<Void> barrier();

  CompletableFuture<Optional<Entry>> get(String key);

  CompletableFuture<Listing> list(String prefix);

  /**
   * Tells of every change under a prefix that came after a version: first of those that happened
   * already, for a key changed several times perhaps only of the last, then of each as it comes; in
   * order of version.
   *
   * @param afterVersion that of a {@link Listing}, or of the last change seen
   * @throws StoreException.Compacted (in the future) when the store no longer knows what changed
   */
  CompletableFuture<Watch> watch(String prefix, long afterVersion, Watcher watcher);

  /**
   * Grants a lease: keys that are put with it go when it ends. It ends a while after its time,
   * never before, unless it is kept alive; that of a process that has died ends too.
   *
   * @param time that it lasts, from its grant or the last time it was kept alive; at least a second
   */
  CompletableFuture<Lease> lease(Duration time);

  /** Ends the store once all commits before have been done. */
  @Override
  void close();

  /**
   * Is told of changes, on the store's thread: it must be quick and must not block. It must not
   * throw either; if it does that is logged, and commits and other watchers do not suffer from it.
   */
  interface Watcher {
    /** The changes of one commit, or several, by version. */
    void onChanges(List<Change> changes);

    /**
     * Changes were missed, for the store was out of reach until it had forgotten them. This is all
     * that there is under the prefix now: what is not in it is gone. The watch goes on from there.
     */
    void onListing(Listing listing);
  }

  /** A time that somebody is given, and that ends by itself. */
  interface Lease {
    /** The store's number of it. */
    long id();

    /**
     * Makes it last its whole time again. Answered, one way or the other, within a third of that.
     *
     * @throws StoreException.LeaseEnded (in the future) when it is too late
     */
    CompletableFuture<Void> keepAlive();

    /** Ends it now, with its keys, unless it has ended. */
    CompletableFuture<Void> end();
  }

  /** A watch that goes on until it is closed. */
  @FunctionalInterface
  interface Watch extends AutoCloseable {
    @Override
    void close();
  }
}
