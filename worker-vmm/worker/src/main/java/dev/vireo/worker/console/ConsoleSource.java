package dev.vireo.worker.console;

import java.util.Optional;

/** Where the consoles of this node's microVMs are. */
@FunctionalInterface
public interface ConsoleSource {
  /**
   * One microVM's console.
   *
   * @param mayGrow whether the guest may still write to it
   */
  record Console(ConsoleFile file, boolean mayGrow) {}

  /** The console as it is now; empty if no such microVM is here. */
  Optional<Console> find(String microVmUid);
}
