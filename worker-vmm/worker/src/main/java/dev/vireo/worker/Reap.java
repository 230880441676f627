package dev.vireo.worker;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.worker.cgroup.VmmGroups;
import dev.vireo.worker.state.AtomicFile;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.SystemTime;
import dev.vireo.worker.vmm.VmmAdoption;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import dev.vireo.worker.vmm.VmmHost;
import dev.vireo.worker.vmm.VmmProgram;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.locks.LockSupport;

/**
 * Ends every VMM of a node whose worker does not run, identified as a restarted worker would, and
 * removes what that worker had not done with. Consoles and private disks stay, and each microVM's
 * record says how it ended.
 */
final class Reap {
  private static final System.Logger LOG = System.getLogger("reap");
  private static final Duration ANSWER_WITHIN = Duration.ofSeconds(5);
  private static final Duration END_WITHIN = Duration.ofSeconds(10);
  private static final Duration LOOK_AGAIN = Duration.ofMillis(10);

  private final StateDirectory state;
  private final String bootId;

  /**
   * @param state locked by this process
   */
  Reap(StateDirectory state, String bootId) {
    this.state = state;
    this.bootId = bootId;
  }

  /**
   * Ends them.
   *
   * @return false if one did not end, whose directory then remains
   */
  boolean run() throws IOException {
    try (SystemTime time = new SystemTime();
        VmmGroups groups = VmmGroups.of(state.nodeUid(), time);
        VmmHost host =
            new VmmHost(
                state,
                VmmProgram.of(state.root()),
                bootId,
                groups,
                new SecureRandom(),
                time,
                ANSWER_WITHIN)) {
      for (Found found : new VmmAdoption(host, ANSWER_WITHIN).run()) {
        switch (found) {
          case Found.Running running -> {
            LOG.log(
                Level.INFO,
                "ending microVM {0}, {1}",
                running.record().getMicrovmUid(),
                running.vmm());
            writeEnd(running.record().getMicrovmUid());
            running.vmm().discard();
          }
          case Found.Idle idle -> idle.vmm().discard();
          case Found.Gone gone -> gone.remove().run();
        }
      }
      StateDirectory.removeTree(state.archives());
      boolean none = awaitNone();
      host.sweepGroups();
      return none;
    }
  }

  private void writeEnd(String uid) throws IOException {
    Path file = state.microVm(uid).resolve("record");
    if (!Files.exists(file)) {
      return;
    }
    try {
      MicroVmRecord record = MicroVmRecord.parseFrom(Files.readAllBytes(file));
      AtomicFile.write(
          file,
          record.toBuilder()
              .setTermination(
                  Termination.newBuilder()
                      .setCause(Termination.Cause.STOPPED_BY_REQUEST)
                      .setMessage("stopped with its node")
                      .setTime(Timestamps.of(Instant.now())))
              .build()
              .toByteArray());
    } catch (InvalidProtocolBufferException e) {
      LOG.log(Level.WARNING, "{0} is no record", file);
    }
  }

  private boolean awaitNone() {
    long deadline = System.nanoTime() + END_WITHIN.toNanos();
    while (!state.vmmIds().isEmpty()) {
      if (System.nanoTime() - deadline > 0) {
        LOG.log(Level.ERROR, "these VMMs do not end: {0}", state.vmmIds());
        return false;
      }
      LockSupport.parkNanos(LOOK_AGAIN.toNanos());
    }
    return true;
  }
}
