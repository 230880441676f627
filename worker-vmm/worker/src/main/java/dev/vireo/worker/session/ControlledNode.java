package dev.vireo.worker.session;

import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.Heartbeat;
import dev.vireo.proto.worker.v1.Hello;
import dev.vireo.proto.worker.v1.Inspect;
import dev.vireo.proto.worker.v1.InspectResult;
import dev.vireo.proto.worker.v1.LogChunk;
import dev.vireo.proto.worker.v1.ReadLog;
import dev.vireo.proto.worker.v1.ReadTrace;
import dev.vireo.proto.worker.v1.TraceChunk;
import dev.vireo.proto.worker.v1.Welcome;
import dev.vireo.worker.agent.Tunnel;
import java.util.function.Consumer;

/**
 * A node as its controller commands it. Calls come one at a time and must return at once; answers
 * follow through the consumers, from any thread.
 */
public interface ControlledNode {
  /** Who this is and all it runs, at this moment. */
  Hello hello();

  /** What changes between Hellos. */
  Heartbeat heartbeat();

  /** The whole desired state: what it does not name is to go. */
  void welcome(Welcome welcome);

  /** One change of the desired state. */
  void change(DesiredChange change);

  /** Begins a log stream, or grants an existing one more credit. */
  void readLog(ReadLog request, Consumer<LogChunk> chunks);

  /** Ends a log stream; unknown ones are ignored. */
  void cancelLog(long streamId);

  /** Answers exactly once. */
  void inspect(Inspect request, Consumer<InspectResult> answer);

  /** Begins a trace, or grants an existing one more credit. */
  void readTrace(ReadTrace request, Consumer<TraceChunk> chunks);

  /** Ends a trace; unknown ones are ignored. */
  void cancelTrace(long streamId);

  /**
   * Serves a client's call to the agent of a microVM's guest, or to this node itself.
   *
   * @param uid of the microVM; empty for the node
   */
  void serve(String uid, Tunnel tunnel);

  /**
   * The session is gone, and with it every log stream, every trace and every tunnel. What runs goes
   * on.
   */
  void disconnected();
}
