package dev.vireo.controller.reconcile;

import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.session.Sessions;
import dev.vireo.controller.session.WorkerSession;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.v1.NodeStatus.Health;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.jboss.logging.Logger;

/**
 * Notices nodes whose lease has ended, and ends the sessions of those that are connected still: a
 * worker that is stopped, or behind a network that loses packets without a word, would hold what is
 * relayed to it for as long as the connection lasts, which nothing limits.
 *
 * <p>A session ends a third of a lease after its node was found LOST. Workers speak that often: so
 * when it was this controller that stood still, and takes everybody for lost, whoever lives is
 * heard first, and goes on.
 */
final class Leases {
  private static final Logger LOG = Logger.getLogger(Leases.class);

  private final Nodes nodes;
  private final Sessions sessions;
  private final TimeSource time;
  private final Duration lastWord;

  /** Nodes that are LOST: when that was found, by this controller's steady clock. */
  private final Map<String, Long> lost = new HashMap<>();

  Leases(Nodes nodes, Sessions sessions, TimeSource time) {
    this.nodes = nodes;
    this.sessions = sessions;
    this.time = time;
    this.lastWord = nodes.lease().dividedBy(3);
  }

  /** Does what is due. */
  void round() {
    lost.keySet().removeIf(id -> !isLost(id));
    for (String id : nodes.endLeases(lost.keySet())) {
      lost.put(id, time.nanoTime());
      LOG.warnf("node lost node=%s connected=%s", id, sessions.find(id).isPresent());
    }
    lost.forEach((id, since) -> {
      if (time.nanoTime() - since >= lastWord.toNanos()) {
        endSession(id);
      }
    });
  }

  /** The session first: if its node is lost then, it is not one that has just been opened. */
  private void endSession(String id) {
    sessions.find(id).filter(_ -> isLost(id)).ifPresent(WorkerSession::endWithLease);
  }

  private boolean isLost(String id) {
    return nodes.health(id) == Health.LOST;
  }
}
