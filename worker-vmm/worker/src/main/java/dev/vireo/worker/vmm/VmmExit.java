package dev.vireo.worker.vmm;

import dev.vireo.linux.ProcessHandleFd.Exit;
import dev.vireo.proto.vmm.v1.VmmStatus;
import java.util.Optional;

/**
 * How a VMM process ended.
 *
 * @param lastWords the exit record, if the process lived to write it
 * @param log the end of its output, for people; may be empty
 */
public record VmmExit(Exit how, Optional<VmmStatus> lastWords, String log) {
  /** "was killed by signal 9". */
  public String describe() {
    String what =
        switch (how) {
          case Exit.Status(int status) -> "exited with status " + status;
          case Exit.Signal(int signal) -> "was killed by signal " + signal;
          case Exit.Unknown() -> "ended";
        };
    return log.isEmpty() ? what : what + "; its last words: " + log;
  }
}
