package dev.vireo.controller.api;

import dev.vireo.controller.grpc.ErrorInterceptor;
import dev.vireo.controller.grpc.PacedStream;
import dev.vireo.controller.microvm.ChangeFeed;
import dev.vireo.controller.microvm.MicroVmChange;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.WatchEventType;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.micrometer.core.instrument.Counter;
import java.time.Duration;
import java.util.Optional;

/** Sends one client's feed: what it missed, a bookmark, then changes, and a bookmark when idle. */
final class WatchStream implements Runnable {
  private final ChangeFeed feed;
  private final PacedStream<WatchMicroVmsResponse> client;
  private final Duration bookmarkPeriod;
  private final Counter events;
  private final Counter cutOff;

  /**
   * @param events counts what is sent, bookmarks apart
   * @param cutOff counts clients that are too slow
   */
  WatchStream(
      ChangeFeed feed,
      PacedStream<WatchMicroVmsResponse> client,
      Duration bookmarkPeriod,
      Counter events,
      Counter cutOff) {
    this.feed = feed;
    this.client = client;
    this.bookmarkPeriod = bookmarkPeriod;
    this.events = events;
    this.cutOff = cutOff;
  }

  /** Returns when the client has gone or was cut off. */
  @Override
  public void run() {
    try (feed) {
      sendMissed();
      sendComing();
    } catch (PacedStream.Gone e) {
      // Nobody to tell.
    } catch (InterruptedException e) {
      client.fail(Errors.of(ErrorReason.STORE_UNAVAILABLE, "the controller is stopping"));
    } catch (ChangeFeed.Overrun e) {
      cutOff.increment();
      client.fail(
          Errors.of(
              ErrorReason.WATCH_TOO_SLOW, "more changes waited for this client than are kept"));
    } catch (RuntimeException e) {
      client.fail(ErrorInterceptor.typed(e, "WatchMicroVms"));
    }
  }

  private void sendMissed() throws PacedStream.Gone, InterruptedException {
    for (Optional<ChangeFeed.Told> missed = feed.nextMissed();
        missed.isPresent();
        missed = feed.nextMissed()) {
      client.send(event(missed.get()));
      events.increment();
    }
    bookmark(feed.startVersion());
  }

  private void sendComing() throws PacedStream.Gone, InterruptedException, ChangeFeed.Overrun {
    long bookmarked = feed.startVersion();
    while (!client.isOver()) {
      long offered = feed.offeredVersion();
      Optional<ChangeFeed.Told> change = feed.next(bookmarkPeriod);
      if (change.isPresent()) {
        client.send(event(change.get()));
        events.increment();
      } else if (offered > bookmarked) {
        bookmark(offered);
        bookmarked = offered;
      }
    }
  }

  private void bookmark(long version) throws PacedStream.Gone, InterruptedException {
    client.send(
        WatchMicroVmsResponse.newBuilder()
            .setType(WatchEventType.BOOKMARK)
            .setResourceVersion(version)
            .build());
  }

  private static WatchMicroVmsResponse event(ChangeFeed.Told told) {
    WatchEventType type =
        switch (told.change()) {
          case MicroVmChange.Added(StoredMicroVm _) -> WatchEventType.ADDED;
          case MicroVmChange.Modified(StoredMicroVm _) -> WatchEventType.MODIFIED;
          case MicroVmChange.Removed _ -> WatchEventType.DELETED;
        };
    return WatchMicroVmsResponse.newBuilder()
        .setType(type)
        .setMicrovm(told.change().microVm().microVm())
        .setResourceVersion(told.resumeVersion())
        .build();
  }
}
