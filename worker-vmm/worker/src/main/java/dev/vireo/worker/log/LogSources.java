package dev.vireo.worker.log;

import dev.vireo.proto.v1.LogSource;
import java.util.Optional;

/** What can be read of this node's microVMs. */
@FunctionalInterface
public interface LogSources {
  /**
   * One log of one microVM.
   *
   * @param mayGrow whether the guest may still write to it
   */
  record Log(LogFile file, boolean mayGrow) {}

  /** The log as it is now; empty if no such microVM is here. */
  Optional<Log> find(String microVmUid, LogSource source);
}
