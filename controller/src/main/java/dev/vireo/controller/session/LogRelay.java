package dev.vireo.controller.session;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.worker.v1.LogChunk;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import org.jspecify.annotations.Nullable;

/**
 * Carries a log's bytes from a worker to one client.
 *
 * <p>The worker may send as many bytes as it has credit for; credit is given back only as fast as
 * the client's transport takes the bytes, so a slow client holds up nothing but its own stream and
 * costs at most {@link #WINDOW_BYTES} here.
 */
public final class LogRelay {
  static final int WINDOW_BYTES = 256 * 1024;

  /** Credit is given back in lumps, or each chunk would cost a message. */
  private static final int LUMP_BYTES = WINDOW_BYTES / 4;

  private final ServerCallStreamObserver<StreamLogsResponse> client;
  private final String uid;
  private final LogSource source;
  private final boolean follow;
  private final Runnable onSessionLost;
  private @Nullable Part part;
  private @Nullable LogStream stream;
  private long offset;
  private int owed;
  private boolean ended;

  /** What is read of one session: once there is another, its words and its end say nothing. */
  private final class Part implements LogReader {
    @Override
    public void onChunk(LogChunk chunk) {
      LogRelay.this.onChunk(this, chunk);
    }

    @Override
    public void onSessionEnd(StatusRuntimeException why) {
      LogRelay.this.onSessionEnd(this, why);
    }
  }

  /**
   * Takes the client's handlers, so it is made in the call's method.
   *
   * @param onSessionLost is told, once each time, when the session ended and the log may go on by
   *     another one
   */
  public LogRelay(
      ServerCallStreamObserver<StreamLogsResponse> client,
      String uid,
      LogSource source,
      boolean follow,
      long offset,
      Runnable onSessionLost) {
    this.client = client;
    this.uid = uid;
    this.source = source;
    this.follow = follow;
    this.offset = offset;
    this.onSessionLost = onSessionLost;
    client.setOnReadyHandler(this::giveBack);
    client.setOnCancelHandler(this::cancel);
  }

  /** Begins, or after a lost session goes on, where the client's bytes end. */
  public void readFrom(WorkerSession session) {
    Part next = new Part();
    begin(session, next);
    if (session.isOver()) {
      // It may have ended before it knew of this reader.
      onSessionEnd(next, session.unreachable("went away"));
    }
  }

  private synchronized void begin(WorkerSession session, Part next) {
    if (ended) {
      return;
    }
    owed = 0;
    part = next;
    stream = session.readLog(next);
    stream.begin(uid, source, follow, offset, WINDOW_BYTES);
  }

  private synchronized void onChunk(Part from, LogChunk chunk) {
    if (ended || from != part) {
      return;
    }
    if (!chunk.getData().isEmpty()) {
      offset = end(chunk);
      StreamLogsResponse.Builder response =
          StreamLogsResponse.newBuilder()
              .setOffset(chunk.getOffset())
              .setData(chunk.getData())
              .setNextOffset(offset)
              .setStream(chunk.getStream());
      if (chunk.hasTime()) {
        response.setTime(chunk.getTime());
      }
      client.onNext(response.build());
      owed += chunk.getData().size();
      giveBack();
    }
    if (chunk.getEnd()) {
      finish(chunk);
    }
  }

  /** Workers that know of the console alone do not say it. */
  private static long end(LogChunk chunk) {
    return chunk.getNextOffset() == 0
        ? chunk.getOffset() + chunk.getData().size()
        : chunk.getNextOffset();
  }

  private void finish(LogChunk last) {
    ended = true;
    if (last.getError().isEmpty()) {
      client.onCompleted();
    } else {
      client.onError(
          Errors.of(
              last.getReason().isEmpty()
                  ? ErrorReason.NODE_UNREACHABLE
                  : Lifecycle.errorReason(last.getReason()),
              last.getError()));
    }
  }

  private void onSessionEnd(Part of, StatusRuntimeException why) {
    synchronized (this) {
      if (ended || of != part) {
        return;
      }
      part = null;
      stream = null;
      if (!follow) {
        fail(why);
        return;
      }
    }
    onSessionLost.run();
  }

  /** Ends the client's stream: the node cannot be reached. */
  public synchronized void fail(StatusRuntimeException why) {
    if (!ended) {
      ended = true;
      client.onError(why);
    }
  }

  /** Ends the client's stream well: the microVM is gone. */
  public synchronized void complete() {
    if (!ended) {
      ended = true;
      client.onCompleted();
    }
  }

  public synchronized boolean isOver() {
    return ended;
  }

  private synchronized void giveBack() {
    if (stream != null && owed >= LUMP_BYTES && client.isReady()) {
      stream.grant(owed);
      owed = 0;
    }
  }

  private synchronized void cancel() {
    ended = true;
    if (stream != null) {
      stream.cancel();
    }
  }
}
