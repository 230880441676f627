package dev.vireo.controller.store;

import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A commit or a watch that a store did not do. */
public abstract sealed class StoreException extends RuntimeException {
  private final String message;

  private StoreException(String message, @Nullable Throwable cause) {
    super(message, cause);
    this.message = message;
  }

  @Override
  public String getMessage() {
    return message;
  }

  /** For an image of the store that keeps less than the store. */
  public static Compacted compacted(long afterVersion, long oldestVersion) {
    return new Compacted(afterVersion, oldestVersion);
  }

  /** For a store that does not work, and why. */
  public static Unavailable unavailable(String why) {
    return new Unavailable(why, null);
  }

  /** Somebody else was first: these keys are not at the expected version. Nothing was written. */
  public static final class Conflict extends StoreException {
    private final transient Set<String> keys;

    Conflict(Set<String> keys) {
      super("not at the expected version: " + keys, null);
      this.keys = Set.copyOf(keys);
    }

    public Set<String> keys() {
      return keys;
    }
  }

  /**
   * The medium failed (full, read-only, broken). A commit that was under way is not in the store.
   */
  public static final class Unavailable extends StoreException {
    Unavailable(String message, @Nullable Throwable cause) {
      super(message, cause);
    }
  }

  /** Changes as old as the watch asked for are no longer kept. */
  public static final class Compacted extends StoreException {
    Compacted(long afterVersion, long oldestVersion) {
      super(
          "changes after version %d are no longer kept, only after %d"
              .formatted(afterVersion, oldestVersion),
          null);
    }
  }

  /**
   * The store cannot be used at all, for a reason that an operator has to look at: it is corrupt,
   * or was written by a newer release. Nothing in it was changed.
   */
  public static final class Unusable extends StoreException {
    Unusable(String message, @Nullable Throwable cause) {
      super(message, cause);
    }
  }
}
