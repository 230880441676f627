package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.PrintStream;
import java.util.Iterator;
import java.util.function.Consumer;

/**
 * Reads one microVM's console in order and without repeats, across lost connections. Knows at each
 * moment the offset of the next byte.
 */
public final class ConsoleReader {
  private final Api api;
  private final String name;
  private final Consumer<ByteString> sink;
  private final PrintStream err;
  private long offset;

  public ConsoleReader(
      Api api, String name, long offset, Consumer<ByteString> sink, PrintStream err) {
    this.api = api;
    this.name = name;
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
                    .setFollow(follow)
                    .setOffset(offset)
                    .build());
    while (chunks.hasNext()) {
      StreamLogsResponse chunk = chunks.next();
      if (chunk.getOffset() > offset) {
        err.println("vireo: %d bytes are no longer kept".formatted(chunk.getOffset() - offset));
      }
      offset = chunk.getOffset() + chunk.getData().size();
      sink.accept(chunk.getData());
    }
  }
}
