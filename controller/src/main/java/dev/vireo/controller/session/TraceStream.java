package dev.vireo.controller.session;

import dev.vireo.proto.v1.TraceFilter;
import dev.vireo.proto.worker.v1.CancelTrace;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.ReadTrace;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * The controller's end of one trace in a session: what it asks of the worker.
 *
 * @param id unique in the session
 * @param send to the worker
 * @param forget ends the reading; returns whether it went on until now
 */
record TraceStream(long id, Consumer<ControllerMessage> send, BooleanSupplier forget) {
  void begin(String uid, TraceFilter filter, int creditChunks) {
    ReadTrace.Builder read =
        ReadTrace.newBuilder()
            .setStreamId(id)
            .setUid(uid)
            .setFilter(filter)
            .setCreditChunks(creditChunks);
    send.accept(ControllerMessage.newBuilder().setReadTrace(read).build());
  }

  void grant(int creditChunks) {
    ReadTrace.Builder more = ReadTrace.newBuilder().setStreamId(id).setCreditChunks(creditChunks);
    send.accept(ControllerMessage.newBuilder().setReadTrace(more).build());
  }

  /** Tells the worker to stop, unless it has. */
  void cancel() {
    if (forget.getAsBoolean()) {
      CancelTrace.Builder cancel = CancelTrace.newBuilder().setStreamId(id);
      send.accept(ControllerMessage.newBuilder().setCancelTrace(cancel).build());
    }
  }
}
