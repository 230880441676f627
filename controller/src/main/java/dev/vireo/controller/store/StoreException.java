package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletionException;
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

  /** What a future has failed with, without what stages after it wrap that in. */
  public static Throwable causeOf(Throwable error) {
    return error instanceof CompletionException && error.getCause() != null
        ? error.getCause()
        : error;
  }

  /** For an image of the store that keeps less than the store. */
  public static Compacted compacted(long afterVersion, long oldestVersion) {
    return new Compacted(afterVersion, oldestVersion);
  }

  /** For a store that found these keys changed. */
  public static Conflict conflict(Set<String> keys) {
    return new Conflict(keys);
  }

  /** For a store that has ended the lease, or never granted it. */
  public static LeaseEnded leaseEnded() {
    return new LeaseEnded();
  }

  /** For a store that only the leading controller writes to. */
  public static NotLeader notLeader() {
    return new NotLeader();
  }

  /** For a store that does not work, and why. */
  public static Unavailable unavailable(String why) {
    return new Unavailable(why, null);
  }

  /** For a store that cannot tell whether it has done a commit, and why. */
  public static OutcomeUnknown outcomeUnknown(String why) {
    return new OutcomeUnknown(why);
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
   * The medium failed (full, read-only, broken) or cannot be reached. Nothing was written, nor will
   * be.
   */
  public static final class Unavailable extends StoreException {
    Unavailable(String message, @Nullable Throwable cause) {
      super(message, cause);
    }
  }

  /**
   * The answer to a commit was lost: it may have been done, or yet be done before the next that
   * this store answers ({@link Store#barrier}), but never twice. Since it names the versions that
   * it expects, it can be asked for again without harm: if it was done, the second is a {@link
   * Conflict}, and the keys have its values.
   */
  public static final class OutcomeUnknown extends StoreException {
    OutcomeUnknown(String message) {
      super(message, null);
    }
  }

  /** A commit is more than any store takes. Nothing was written. */
  public static final class TooLarge extends StoreException {
    TooLarge(String message) {
      super(message, null);
    }

    static Optional<TooLarge> check(List<Write> writes) {
      long changes = writes.stream().filter(write -> !(write instanceof Write.Unchanged)).count();
      if (changes == 0 || changes > Store.MAX_WRITES) {
        return Optional.of(
            new TooLarge(
                "a commit has 1 to %d writes, not %d".formatted(Store.MAX_WRITES, changes)));
      }
      long bytes = writes.stream().mapToLong(TooLarge::bytes).sum();
      return bytes > Store.MAX_COMMIT_BYTES
          ? Optional.of(
              new TooLarge(
                  "a commit has at most %d bytes, keys and values, not %d"
                      .formatted(Store.MAX_COMMIT_BYTES, bytes)))
          : Optional.empty();
    }

    static long bytes(Write write) {
      long key = ByteString.copyFromUtf8(write.key()).size();
      return switch (write) {
        case Write.Put put -> key + put.value().size();
        case Write.Delete _, Write.Unchanged _ -> key;
      };
    }
  }

  /** A lease was not kept alive in time, or was ended. Nothing was written with it. */
  public static final class LeaseEnded extends StoreException {
    LeaseEnded() {
      super("the lease has ended", null);
    }
  }

  /**
   * The controller that commits does not lead, or no longer: another may have decided otherwise.
   * Nothing was written.
   */
  public static final class NotLeader extends StoreException {
    NotLeader() {
      super("this controller does not lead, so it must not write", null);
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
