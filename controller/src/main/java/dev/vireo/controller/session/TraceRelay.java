package dev.vireo.controller.session;

import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.v1.TraceMicroVmResponse;
import dev.vireo.proto.worker.v1.TraceChunk;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Carries a trace from a worker to one client.
 *
 * <p>The worker may send as many chunks as it has credit for; credit is given back only as fast as
 * the client's transport takes them, so a slow client costs at most {@link #WINDOW_CHUNKS} here,
 * and what it cannot take the VMM drops. A trace ends with its session: what was missed while a
 * worker was away, nobody knows.
 */
public final class TraceRelay implements TraceReader {
  static final int WINDOW_CHUNKS = 8;

  private final ServerCallStreamObserver<TraceMicroVmResponse> client;
  private final String uid;
  private final TraceFilter filter;
  private @Nullable TraceStream stream;
  private int owed;
  private boolean ended;

  /** Takes the client's handlers, so it is made in the call's method. */
  public TraceRelay(
      ServerCallStreamObserver<TraceMicroVmResponse> client, String uid, TraceFilter filter) {
    this.client = client;
    this.uid = uid;
    this.filter = filter;
    client.setOnReadyHandler(this::giveBack);
    client.setOnCancelHandler(this::cancel);
  }

  /** Begins. */
  public void readFrom(WorkerSession session) {
    synchronized (this) {
      if (ended) {
        return;
      }
      stream = session.readTrace(this);
      stream.begin(uid, filter, WINDOW_CHUNKS);
    }
    if (session.isOver()) {
      // It may have ended before it knew of this reader.
      onSessionEnd(session.unreachable("went away"));
    }
  }

  @Override
  public synchronized void onChunk(TraceChunk chunk) {
    if (ended) {
      return;
    }
    if (chunk.getEnd()) {
      end(chunk);
      return;
    }
    client.onNext(
        TraceMicroVmResponse.newBuilder()
            .addAllRecords(chunk.getRecordsList())
            .setDropped(chunk.getDropped())
            .build());
    owed++;
    giveBack();
  }

  private void end(TraceChunk last) {
    ended = true;
    if (last.getError().isEmpty()) {
      client.onCompleted();
      return;
    }
    ErrorReason reason = Lifecycle.errorReason(last.getReason());
    client.onError(
        last.getField().isEmpty()
            ? Errors.of(reason, last.getError())
            : Errors.badRequest(
                List.of(new Errors.FieldViolation(last.getField(), reason, last.getError()))));
  }

  @Override
  public synchronized void onSessionEnd(StatusRuntimeException why) {
    if (!ended) {
      ended = true;
      client.onError(why);
    }
  }

  private synchronized void giveBack() {
    if (!ended && stream != null && owed > 0 && client.isReady()) {
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
