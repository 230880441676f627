package dev.vireo.controller.store;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

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
  /**
   * Does all the writes, or none of them.
   *
   * <p>When the future completes, be it with a conflict, every watcher of this process has been
   * told of all commits up to it: who keeps an image of the store by a watch reads there what it
   * wrote.
   *
   * @param writes each of another key
   * @return the commit's version
   */
  CompletableFuture<Long> commit(List<Write> writes);

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

  /** Ends the store once all commits before have been done. */
  @Override
  void close();

  /** Is told of changes, on the store's thread: it must be quick and must not block or throw. */
  @FunctionalInterface
  interface Watcher {
    /** The changes of one commit, or several, by version. */
    void onChanges(List<Change> changes);
  }

  /** A watch that goes on until it is closed. */
  @FunctionalInterface
  interface Watch extends AutoCloseable {
    @Override
    void close();
  }
}
