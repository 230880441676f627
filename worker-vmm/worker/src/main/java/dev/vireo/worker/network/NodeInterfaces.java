package dev.vireo.worker.network;

import java.io.IOException;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.function.Predicate;

/** The interfaces and routes of the node, as far as guests' packets take them. */
interface NodeInterfaces {
  /** Gives a guest's interface its settings, and takes it up. All of them go with it. */
  void configure(String tap, int gateway, int guest, byte[] mac) throws IOException;

  /** The setting (sysctl) by which packets that are for others end here; empty: they do not. */
  Optional<String> settingAgainstForwarding() throws IOException;

  /**
   * A route that goes where the pool is; none if all is well.
   *
   * @param ours whether an interface is a guest's of this worker, whose routes do not count
   */
  Optional<String> routeInto(Ipv4Network pool, Predicate<String> ours) throws IOException;

  boolean exists(String tap);

  /** Ends the node's memory of the connections that one of these addresses is part of. */
  void forgetConnections(IntPredicate addresses) throws IOException;
}
