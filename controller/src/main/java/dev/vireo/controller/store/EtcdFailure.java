package dev.vireo.controller.store;

import dev.vireo.controller.store.StoreException.TooLarge;
import dev.vireo.controller.store.StoreException.Unavailable;
import io.grpc.Status;

/** What a status of etcd says about the request that it answers. */
sealed interface EtcdFailure {
  /** It was not done, and would not be if it came again. */
  record Rejected(StoreException why) implements EtcdFailure {}

  /** It was not done, for its lease has ended. */
  record LeaseGone() implements EtcdFailure {}

  /** It was not done; it may come again. */
  record NotDone() implements EtcdFailure {}

  /** It may have been done, and may yet be. */
  record Unknown() implements EtcdFailure {}

  /** By etcd's own words ({@code api/v3rpc/rpctypes/error.go}): its codes are shared. */
  static EtcdFailure of(Status status) {
    String words = String.valueOf(status.getDescription());
    return switch (status.getCode()) {
      case NOT_FOUND -> words.contains("lease not found") ? new LeaseGone() : rejected(words);
      case UNAUTHENTICATED -> words.contains("token") ? new NotDone() : authentication(words);
      case RESOURCE_EXHAUSTED ->
          words.contains("database space exceeded")
              ? new Rejected(
                  new Unavailable(
                      "etcd's space is used up (%s): raise --quota-backend-bytes, or defragment it;"
                              .formatted(words)
                          + " then: etcdctl alarm disarm",
                      null))
              : new NotDone();
      case INVALID_ARGUMENT -> invalid(words);
      case PERMISSION_DENIED -> authentication(words);
      case FAILED_PRECONDITION, UNIMPLEMENTED, ALREADY_EXISTS, OUT_OF_RANGE -> rejected(words);
      case OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, ABORTED, INTERNAL, UNAVAILABLE, DATA_LOSS ->
          new Unknown();
    };
  }

  private static Rejected invalid(String words) {
    if (words.contains("too many operations")) {
      return new Rejected(
          new TooLarge(
              "etcd takes fewer writes at once than %d: start it with --max-txn-ops=512"
                  .formatted(Store.MAX_WRITES)));
    }
    return words.contains("auth") || words.contains("user")
        ? authentication(words)
        : rejected(words);
  }

  private static Rejected rejected(String words) {
    return new Rejected(new Unavailable("etcd refused: " + words, null));
  }

  private static Rejected authentication(String words) {
    return new Rejected(
        new Unavailable(
            "etcd does not let us in (%s): check the user, the password and the roles"
                .formatted(words),
            null));
  }
}
