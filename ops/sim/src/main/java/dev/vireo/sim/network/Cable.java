package dev.vireo.sim.network;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * What connects a machine with others. While it is pulled nothing comes through, and what
 * connections went over it are over.
 */
public final class Cable {
  private final Set<Runnable> connections = new LinkedHashSet<>();
  private boolean up = true;

  public boolean isUp() {
    return up;
  }

  /** Ends all connections, and lets nobody connect. */
  public void pull() {
    up = false;
    List.copyOf(connections).forEach(Runnable::run);
    connections.clear();
  }

  /** Whoever dials from now on gets through. */
  public void plugIn() {
    up = true;
  }

  /** A connection goes over it: {@code cut} is what happens to it when the cable is pulled. */
  public void carry(Runnable cut) {
    connections.add(cut);
  }

  /** The connection is over. */
  public void drop(Runnable cut) {
    connections.remove(cut);
  }
}
