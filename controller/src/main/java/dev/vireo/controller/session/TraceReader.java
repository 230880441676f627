package dev.vireo.controller.session;

import dev.vireo.proto.worker.v1.TraceChunk;
import io.grpc.StatusRuntimeException;

/** Receives a trace from a session, which must not be blocked. */
interface TraceReader {
  void onChunk(TraceChunk chunk);

  /**
   * No more will come by this session.
   *
   * @param why as the client may be told
   */
  void onSessionEnd(StatusRuntimeException why);
}
