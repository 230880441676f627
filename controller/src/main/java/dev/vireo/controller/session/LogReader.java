package dev.vireo.controller.session;

import dev.vireo.proto.worker.v1.LogChunk;

/** Receives a console's bytes from a session, which must not be blocked. */
interface LogReader {
  void onChunk(LogChunk chunk);

  /** No more will come by this session. */
  void onSessionEnd();
}
