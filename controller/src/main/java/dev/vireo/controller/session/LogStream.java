package dev.vireo.controller.session;

import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.worker.v1.CancelLog;
import dev.vireo.proto.worker.v1.ControllerMessage;
import dev.vireo.proto.worker.v1.ReadLog;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * The controller's end of one log stream in a session: what it asks of the worker.
 *
 * @param id unique in the session
 * @param send to the worker
 * @param forget ends the reading; returns whether it went on until now
 */
record LogStream(long id, Consumer<ControllerMessage> send, BooleanSupplier forget) {
  void begin(String uid, LogSource source, boolean follow, long offset, int creditBytes) {
    ReadLog.Builder read =
        ReadLog.newBuilder()
            .setStreamId(id)
            .setUid(uid)
            .setSource(source)
            .setFollow(follow)
            .setOffset(offset)
            .setCreditBytes(creditBytes);
    send.accept(ControllerMessage.newBuilder().setReadLog(read).build());
  }

  void grant(int creditBytes) {
    ReadLog.Builder more = ReadLog.newBuilder().setStreamId(id).setCreditBytes(creditBytes);
    send.accept(ControllerMessage.newBuilder().setReadLog(more).build());
  }

  /** Tells the worker to stop, unless it has. */
  void cancel() {
    if (forget.getAsBoolean()) {
      CancelLog.Builder cancel = CancelLog.newBuilder().setStreamId(id);
      send.accept(ControllerMessage.newBuilder().setCancelLog(cancel).build());
    }
  }
}
