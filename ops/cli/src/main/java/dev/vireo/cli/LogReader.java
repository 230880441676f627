package dev.vireo.cli;

import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.PrintStream;
import java.util.Iterator;
import java.util.function.Consumer;

/**
 * Reads one microVM's console or output in order and without repeats, across lost connections.
 * Knows at each moment the offset of what comes next.
 */
public final class LogReader {
  private final Api api;
  private final String name;
  private final LogSource source;
  private final Consumer<StreamLogsResponse> sink;
  private final PrintStream err;
  private long offset;

  public LogReader(
      Api api,
      String name,
      LogSource source,
      long offset,
      Consumer<StreamLogsResponse> sink,
      PrintStream err) {
    this.api = api;
    this.name = name;
    this.source = source;
    this.offset = offset;
    this.sink = sink;
    this.err = err;
  }

  /** What is there now, and no more. */
  public void drain() {
    stream(false);
  }

  /** What is there and what comes, until the microVM is gone or the gRPC context is cancelled. */
  public void follow() {
    Backoff backoff = new Backoff();
    while (true) {
      long before = offset;
      try {
        stream(true);
        return;
      } catch (StatusRuntimeException e) {
        if (offset > before) {
          backoff.reset();
        }
        if (e.getStatus().getCode() == Status.Code.NOT_FOUND && offset > 0) {
          return;
        }
        if (!Backoff.isWorthRetrying(e)) {
          throw e;
        }
        backoff.pause(err, e);
      }
    }
  }

  private void stream(boolean follow) {
    Iterator<StreamLogsResponse> chunks =
        api.microVmStreams()
            .streamLogs(
                StreamLogsRequest.newBuilder()
                    .setName(name)
                    .setSource(source)
                    .setFollow(follow)
                    .setOffset(offset)
                    .build());
    while (chunks.hasNext()) {
      StreamLogsResponse chunk = chunks.next();
      if (chunk.getOffset() > offset) {
        err.println("vireo: %d bytes are no longer kept".formatted(chunk.getOffset() - offset));
      }
      offset = chunk.getNextOffset();
      sink.accept(chunk);
    }
  }
}
