package dev.vireo.worker.network.dns;

import java.io.IOException;
import org.xbill.DNS.Message;

/** The node's own resolvers. */
@FunctionalInterface
public interface Upstream {
  /**
   * Asks one of them, or several. Waits for the answer.
   *
   * @throws IOException if none has answered in time
   */
  Message ask(Message query) throws IOException;
}
