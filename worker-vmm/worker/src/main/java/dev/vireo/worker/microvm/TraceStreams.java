package dev.vireo.worker.microvm;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.vmm.v1.BeginTraceRequest;
import dev.vireo.proto.vmm.v1.EndTraceRequest;
import dev.vireo.proto.vmm.v1.ReadTraceRequest;
import dev.vireo.proto.vmm.v1.TraceBatch;
import dev.vireo.proto.vmm.v1.TraceRecord;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmGoneException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The traces of one session. A VMM keeps what it traces in a ring, which a stream fetches as long
 * as it has credit; without it the ring drops, and nothing gathers here. Whatever ends a stream
 * ends its VMM's tracing. Thread-safe.
 */
public final class TraceStreams {
  /** How late a record may be, and how often a VMM is woken that has none. */
  private static final Duration LOOK_AGAIN = Duration.ofMillis(20);

  /** Of a chunk: some 30 KiB. */
  static final int MOST_RECORDS = 256;

  static final Duration ANSWER_WITHIN = Duration.ofSeconds(15);

  private final VmmSource vmms;
  private final Time time;
  private final Map<Long, Stream> streams = new HashMap<>();

  public TraceStreams(MicroVms microVms, Time time) {
    this(uid -> microVms.find(uid).map(MicroVm::vmm), time);
  }

  TraceStreams(VmmSource vmms, Time time) {
    this.vmms = vmms;
    this.time = time;
  }

  /** Begins a stream, or grants the one of this id more credit. */
  public void read(ReadTrace request, Consumer<TraceChunk> chunks) {
    Stream stream;
    boolean begins = false;
    synchronized (streams) {
      stream = streams.get(request.getStreamId());
      if (stream == null && !request.getUid().isEmpty()) {
        stream = new Stream(request, chunks);
        streams.put(request.getStreamId(), stream);
        begins = true;
      }
    }
    if (stream != null) { // Credit may come for one that has ended.
      stream.grant(Integer.toUnsignedLong(request.getCreditChunks()));
      if (begins) {
        stream.begin();
      }
    }
  }

  /** Ends a stream without another word. */
  public void cancel(long streamId) {
    Stream stream;
    synchronized (streams) {
      stream = streams.remove(streamId);
    }
    if (stream != null) {
      stream.endTracing();
    }
  }

  /** Ends all of them: their session is gone. */
  public void cancelAll() {
    List<Stream> all;
    synchronized (streams) {
      all = List.copyOf(streams.values());
      streams.clear();
    }
    all.forEach(Stream::endTracing);
  }

  private boolean isOpen(Stream stream) {
    synchronized (streams) {
      return streams.get(stream.id) == stream;
    }
  }

  private boolean close(Stream stream) {
    synchronized (streams) {
      return streams.remove(stream.id, stream);
    }
  }

  private final class Stream {
    private final long id;
    private final String uid;
    private final TraceFilter filter;
    private final Consumer<TraceChunk> chunks;
    private long credit;

    /** Set while the VMM traces for this stream. */
    private @Nullable Vmm tracing;

    /** A read is under way, or due. */
    private boolean reading;

    Stream(ReadTrace request, Consumer<TraceChunk> chunks) {
      this.id = request.getStreamId();
      this.uid = request.getUid();
      this.filter = request.getFilter();
      this.chunks = chunks;
    }

    void grant(long more) {
      synchronized (this) {
        credit += more;
      }
      readIfDue();
    }

    void begin() {
      Optional<CompletableFuture<Optional<Vmm>>> found = vmms.vmmOf(uid);
      if (found.isEmpty()) {
        fail(ErrorReason.MICROVM_NOT_FOUND, "", "no microVM " + uid + " is on this node");
        return;
      }
      var _ =
          found
              .get()
              .thenAccept(vmm -> {
                if (vmm.isPresent()) {
                  beginIn(vmm.get());
                } else {
                  fail(ErrorReason.STATE_CONFLICT, "", "the microVM has no VMM at this moment");
                }
              });
    }

    private void beginIn(Vmm vmm) {
      boolean both = !filter.getExits() && !filter.getIo();
      BeginTraceRequest.Builder begin =
          BeginTraceRequest.newBuilder()
              .setExits(both || filter.getExits())
              .setIo(both || filter.getIo())
              .setDevice(filter.getDevice())
              .setSlowerThanNs(nanos(filter.getSlowerThan()));
      ask(vmm, VmmRequest.newBuilder().setBeginTrace(begin), response -> begun(vmm));
    }

    private void begun(Vmm vmm) {
      synchronized (this) {
        tracing = vmm;
      }
      if (!isOpen(this)) { // Cancelled meanwhile.
        endTracing();
        return;
      }
      send(TraceChunk.newBuilder());
      readIfDue();
    }

    /** One read at a time, each for one chunk. */
    private void readIfDue() {
      Vmm vmm;
      synchronized (this) {
        vmm = tracing;
        if (vmm == null || reading || credit == 0 || !isOpen(this)) {
          return;
        }
        reading = true;
      }
      ask(
          vmm,
          VmmRequest.newBuilder()
              .setReadTrace(ReadTraceRequest.newBuilder().setMostRecords(MOST_RECORDS)),
          this::take);
    }

    private void take(VmmResponse response) {
      TraceBatch batch = response.getTrace();
      if (batch.getRecordsCount() > 0 || batch.getDropped() != 0) {
        TraceChunk.Builder chunk = TraceChunk.newBuilder().setDropped(batch.getDropped());
        batch.getRecordsList().forEach(record -> chunk.addRecords(record(record)));
        send(chunk);
      } else if (response.getStatus().getState() == VmmState.VMM_ENDED) {
        end(TraceChunk.newBuilder());
        return;
      }
      if (batch.getRecordsCount() == MOST_RECORDS) {
        goOn();
      } else {
        var _ = time.after(LOOK_AGAIN, this::goOn);
      }
    }

    private void goOn() {
      synchronized (this) {
        reading = false;
      }
      readIfDue();
    }

    /** An answer that comes too late is heard too: a VMM that has begun is to be told to end. */
    private void ask(Vmm vmm, VmmRequest.Builder request, Consumer<VmmResponse> then) {
      Alarm late =
          time.after(
              ANSWER_WITHIN,
              () ->
                  fail(
                      ErrorReason.VMM_UNRESPONSIVE,
                      "",
                      "its VMM did not answer within %d s".formatted(ANSWER_WITHIN.toSeconds())));
      var _ =
          vmm.request(request, List.of())
              .whenComplete((response, error) -> {
                late.cancel();
                if (error != null) {
                  failed(error);
                } else if (response.getErrorReason().isEmpty()) {
                  then.accept(response);
                } else {
                  fail(
                      reason(response.getErrorReason()),
                      response.getErrorField(),
                      response.getErrorMessage());
                }
              });
    }

    /** A VMM that is gone has ended, and so has its trace. */
    private void failed(Throwable error) {
      Throwable cause =
          error instanceof CompletionException && error.getCause() != null
              ? error.getCause()
              : error;
      switch (cause) {
        case VmmGoneException _ -> end(TraceChunk.newBuilder());
        default -> fail(ErrorReason.VMM_FAILED, "", "its VMM did not answer: " + cause);
      }
    }

    private void fail(ErrorReason reason, String field, String message) {
      end(TraceChunk.newBuilder().setReason(reason.name()).setField(field).setError(message));
    }

    private void end(TraceChunk.Builder last) {
      if (close(this)) {
        endTracing();
        chunks.accept(last.setStreamId(id).setEnd(true).build());
      }
    }

    private void send(TraceChunk.Builder chunk) {
      synchronized (this) {
        credit--;
      }
      if (isOpen(this)) {
        chunks.accept(chunk.setStreamId(id).build());
      }
    }

    /** Nobody waits for the answer: a VMM that does not give it loses its socket, or has ended. */
    void endTracing() {
      Vmm vmm;
      synchronized (this) {
        vmm = tracing;
        tracing = null;
      }
      if (vmm != null) {
        var _ =
            vmm.request(
                VmmRequest.newBuilder().setEndTrace(EndTraceRequest.getDefaultInstance()),
                List.of());
      }
    }
  }

  private static long nanos(com.google.protobuf.Duration duration) {
    return Duration.ofSeconds(duration.getSeconds(), duration.getNanos()).toNanos();
  }

  private static ErrorReason reason(String name) {
    for (ErrorReason reason : ErrorReason.values()) {
      if (reason.name().equals(name)) {
        return reason;
      }
    }
    return ErrorReason.VMM_FAILED;
  }

  private static dev.vireo.proto.v1.TraceRecord record(TraceRecord of) {
    var record = dev.vireo.proto.v1.TraceRecord.newBuilder().setTimeNs(of.getTimeNs());
    if (of.hasDurationNs()) {
      record.setDurationNs(of.getDurationNs());
    }
    switch (of.getEventCase()) {
      case EXIT -> record.setExit(exit(of.getExit()));
      case IO -> record.setIo(io(of.getIo()));
      case EVENT_NOT_SET -> {} // Of a newer VMM, which was taken back.
    }
    return record.build();
  }

  private static dev.vireo.proto.v1.ExitEvent exit(dev.vireo.proto.vmm.v1.TracedExit of) {
    var exit =
        dev.vireo.proto.v1.ExitEvent.newBuilder().setVcpu(of.getVcpu()).setCause(of.getCause());
    if (of.hasAccess()) {
      exit.getAccessBuilder()
          .setAddress(of.getAccess().getAddress())
          .setWrite(of.getAccess().getWrite())
          .setWidth(of.getAccess().getWidth())
          .setValue(of.getAccess().getValue())
          .setDevice(of.getAccess().getDevice())
          .setRegister(of.getAccess().getRegister());
    }
    return exit.build();
  }

  private static dev.vireo.proto.v1.IoEvent io(dev.vireo.proto.vmm.v1.TracedIo of) {
    var io =
        dev.vireo.proto.v1.IoEvent.newBuilder()
            .setDevice(of.getDevice())
            .setQueue(of.getQueue())
            .setKind(of.getKind())
            .setResult(of.getResult())
            .setBytes(of.getBytes());
    if (of.hasOffset()) {
      io.setOffset(of.getOffset());
    }
    return io.build();
  }
}
