package dev.vireo.worker.session;

import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.WorkerMessage;
import io.grpc.stub.CallStreamObserver;
import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What waits to be sent in one session. Reports are levels, not events: of each microVM only the
 * latest waits, so a slow controller costs latency and never memory. Thread-safe.
 */
final class Outbox {
  private final CallStreamObserver<WorkerMessage> call;
  private final Map<String, MicroVmReport> reports = new LinkedHashMap<>();
  private final ArrayDeque<WorkerMessage> messages = new ArrayDeque<>();
  private boolean open;
  private boolean closed;

  Outbox(CallStreamObserver<WorkerMessage> call) {
    this.call = call;
  }

  /** Sends the first message and then whatever gathered before it. */
  synchronized void open(WorkerMessage first) {
    call.onNext(first);
    open = true;
    drain();
  }

  /** Sends, or replaces what waits, for this microVM. */
  synchronized void report(MicroVmReport report) {
    reports.put(report.getUid(), report);
    drain();
  }

  /** Sends; callers bound how much they have waiting (log streams and traces by credit). */
  synchronized void send(WorkerMessage message) {
    if (!closed) {
      messages.add(message);
      drain();
    }
  }

  /** To be called whenever the transport can take more. */
  synchronized void drain() {
    while (open && !closed && call.isReady()) {
      WorkerMessage next = poll();
      if (next == null) {
        return;
      }
      call.onNext(next);
    }
  }

  /** Drops what waits: the next session's Hello says it all again. */
  synchronized void close() {
    closed = true;
    reports.clear();
    messages.clear();
  }

  private @Nullable WorkerMessage poll() {
    var oldest = reports.entrySet().iterator();
    if (oldest.hasNext()) {
      MicroVmReport report = oldest.next().getValue();
      oldest.remove();
      return WorkerMessage.newBuilder().setReport(report).build();
    }
    return messages.poll();
  }
}
