package dev.vireo.worker.log;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.function.Consumer;

/**
 * The log streams of one session. A stream sends no more than it has credit for; one that has
 * reached the end and follows looks at the file's size again shortly, and only such a one does.
 * Thread-safe.
 */
public final class LogStreams {
  private static final int MOST_CHUNK_BYTES = 32 << 10;

  /** How late a follower may be. */
  private static final Duration LOOK_AGAIN = Duration.ofMillis(20);

  private final LogSources logs;
  private final Time time;
  private final Executor executor;
  private final Map<Long, Stream> streams = new HashMap<>();

  /**
   * @param executor on which files are read
   */
  public LogStreams(LogSources logs, Time time, Executor executor) {
    this.logs = logs;
    this.time = time;
    this.executor = executor;
  }

  /** Begins a stream, or grants the one of this id more credit. */
  public void read(ReadLog request, Consumer<LogChunk> chunks) {
    Stream stream;
    synchronized (streams) {
      stream =
          streams.computeIfAbsent(request.getStreamId(), id -> new Stream(id, request, chunks));
    }
    stream.grant(Integer.toUnsignedLong(request.getCreditBytes()));
  }

  /** Ends a stream without another word. */
  public void cancel(long streamId) {
    synchronized (streams) {
      streams.remove(streamId);
    }
  }

  /** Ends all of them: their session is gone. */
  public void cancelAll() {
    synchronized (streams) {
      streams.clear();
    }
  }

  private boolean isOpen(Stream stream) {
    synchronized (streams) {
      return streams.get(stream.id) == stream;
    }
  }

  private final class Stream {
    private final long id;
    private final String uid;
    private final LogSource source;
    private final boolean follow;
    private final Consumer<LogChunk> chunks;
    private long offset;
    private long credit;
    private boolean begun;
    private boolean pumping;
    private boolean lookingAgain;

    Stream(long id, ReadLog request, Consumer<LogChunk> chunks) {
      this.id = id;
      this.uid = request.getUid();
      this.source = request.getSource();
      this.follow = request.getFollow();
      this.offset = request.getOffset();
      this.chunks = chunks;
    }

    void grant(long bytes) {
      synchronized (this) {
        credit += bytes;
      }
      wake();
    }

    private void wake() {
      synchronized (this) {
        if (pumping) {
          return;
        }
        pumping = true;
      }
      executor.execute(this::pump);
    }

    private void pump() {
      boolean more = true;
      while (more && isOpen(this)) {
        more = sendNext();
      }
      synchronized (this) {
        pumping = false;
      }
      // Credit may have come between the last look at it and here.
      if (mayContinue()) {
        wake();
      }
    }

    private synchronized boolean mayContinue() {
      return credit > 0 && !lookingAgain && isOpen(this);
    }

    /** Sends a chunk, if there is one; false when there is nothing more to do for now. */
    private boolean sendNext() {
      long allowed;
      synchronized (this) {
        allowed = credit;
      }
      if (allowed == 0) {
        return false;
      }
      // Asked before reading: what is written before the end is read before it is told.
      Optional<LogSources.Log> log = logs.find(uid, source);
      if (log.isEmpty() && begun) {
        end();
        return false;
      }
      if (log.isEmpty()) {
        end(ErrorReason.MICROVM_NOT_FOUND, "no microVM " + uid + " is on this node");
        return false;
      }
      begun = true;
      try {
        LogFile.Chunk chunk =
            log.get().file().read(offset, (int) Math.min(allowed, MOST_CHUNK_BYTES));
        return chunk.bytes().isEmpty() ? atEnd(log.get().mayGrow()) : send(chunk);
      } catch (LogFile.NoSuchOffsetException e) {
        end(ErrorReason.LOG_OFFSET_INVALID, String.valueOf(e.getMessage()));
        return false;
      } catch (IOException e) {
        end(ErrorReason.INTERNAL, "the log cannot be read: " + e);
        return false;
      }
    }

    private boolean send(LogFile.Chunk chunk) {
      synchronized (this) {
        credit -= chunk.bytes().size();
      }
      offset = chunk.end();
      LogChunk.Builder message =
          LogChunk.newBuilder()
              .setStreamId(id)
              .setOffset(chunk.offset())
              .setData(chunk.bytes())
              .setNextOffset(chunk.end());
      chunk.origin().ifPresent(origin -> message.setStream(origin.stream()).setTime(origin.time()));
      chunks.accept(message.build());
      return true;
    }

    private boolean atEnd(boolean mayGrow) {
      if (!follow || !mayGrow) {
        end();
        return false;
      }
      synchronized (this) {
        lookingAgain = true;
      }
      time.after(LOOK_AGAIN, this::lookAgain);
      return false;
    }

    private void lookAgain() {
      synchronized (this) {
        lookingAgain = false;
      }
      wake();
    }

    private void end() {
      cancel(id);
      chunks.accept(LogChunk.newBuilder().setStreamId(id).setOffset(offset).setEnd(true).build());
    }

    private void end(ErrorReason reason, String error) {
      cancel(id);
      chunks.accept(
          LogChunk.newBuilder()
              .setStreamId(id)
              .setOffset(offset)
              .setEnd(true)
              .setError(error)
              .setReason(reason.name())
              .build());
    }
  }
}
