package dev.vireo.controller.session;

import dev.vireo.proto.worker.v1.LogChunk;
import io.grpc.StatusRuntimeException;

/** Receives a console's bytes from a session, which must not be blocked. */
interface LogReader {
  void onChunk(LogChunk chunk);

  /**
   * No more will come by this session.
   *
   * @param why as the client may be told
   */
  void onSessionEnd(StatusRuntimeException why);
}
