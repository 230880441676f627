package dev.vireo.cli;

import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.PrintStream;
import java.util.Iterator;
import java.util.function.Predicate;

/**
 * A watch that survives its connection: it goes on from the last version it saw, and begins anew
 * when that is no longer kept.
 */
final class MicroVmWatch {
  private final Api api;
  private final String labelSelector;
  private final PrintStream err;

  MicroVmWatch(Api api, String labelSelector, PrintStream err) {
    this.api = api;
    this.labelSelector = labelSelector;
    this.err = err;
  }

  /**
   * Hands every event after {@code resourceVersion} (0: what exists first) to {@code more}, until
   * that answers false. A cancelled gRPC context ends it too, by a CANCELLED status.
   */
  void follow(long resourceVersion, Predicate<WatchMicroVmsResponse> more) {
    long version = resourceVersion;
    Backoff backoff = new Backoff();
    while (true) {
      try {
        Iterator<WatchMicroVmsResponse> events = open(version);
        while (events.hasNext()) {
          WatchMicroVmsResponse event = events.next();
          backoff.reset();
          version = Math.max(version, event.getResourceVersion());
          if (event.getType() != WatchEventType.BOOKMARK && !more.test(event)) {
            return;
          }
        }
      } catch (StatusRuntimeException e) {
        if (e.getStatus().getCode() == Status.Code.OUT_OF_RANGE) {
          err.println("vireo: changes were missed; starting from what exists now");
          version = 0;
          continue;
        }
        if (!Backoff.isWorthRetrying(e)) {
          throw e;
        }
        backoff.pause(err, e);
      }
    }
  }

  private Iterator<WatchMicroVmsResponse> open(long version) {
    return api.microVmStreams()
        .watchMicroVms(
            WatchMicroVmsRequest.newBuilder()
                .setParent(api.parent())
                .setResourceVersion(version)
                .setLabelSelector(labelSelector)
                .build());
  }
}
