package dev.vireo.worker.agent;

import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.Optional;

/**
 * A client's call, as it reaches its node. Blocks; one thread at a time may receive, and one send.
 */
public interface Tunnel {
  /** The client, or what is between it and here, has gone. */
  final class GoneException extends Exception {
    private static final long serialVersionUID = 1L;
  }

  /** The next message, once there is one; empty when the client sends no more. */
  Optional<TunnelDown> receive() throws GoneException, InterruptedException;

  /** Sends, once the transport takes more. */
  void send(TunnelUp message) throws GoneException, InterruptedException;

  /** Ends the call well, unless it has ended. */
  void complete();

  /** Ends the call for this reason, unless it has ended. */
  void fail(TunnelFailure why);

  /** Ends the call without a word. */
  void cancel();

  /** What to do, once, on a thread of its own, when the call has ended from the other side. */
  void onGone(Runnable action);
}
