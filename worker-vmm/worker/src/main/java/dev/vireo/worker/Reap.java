package dev.vireo.worker;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.vmm.v1.StopRequest;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.worker.cgroup.VmmGroups;
import dev.vireo.worker.microvm.Terminations;
import dev.vireo.worker.state.AtomicFile;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.SystemTime;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmAdoption;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import dev.vireo.worker.vmm.VmmExit;
import dev.vireo.worker.vmm.VmmHost;
import dev.vireo.worker.vmm.VmmListener;
import dev.vireo.worker.vmm.VmmProgram;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;

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
      Terminations terminations = new Terminations(time);
      int kept = 0;
      for (Found found : new VmmAdoption(host, ANSWER_WITHIN).run()) {
        kept += reap(found, terminations);
      }
      StateDirectory.removeTree(state.archives());
      boolean none = awaitNone(kept);
      host.sweepGroups();
      return none;
    }
  }

  /** How many directories of VMMs stay: that of one that has ended is all that says how. */
  private int reap(Found found, Terminations terminations) {
    switch (found) {
      case Found.Running running -> {
        String uid = running.record().getMicrovmUid();
        LOG.log(Level.INFO, "ending microVM {0}, {1}", uid, running.vmm());
        if (!writeEnd(
            uid,
            _ -> terminations.of(Termination.Cause.STOPPED_BY_REQUEST, "stopped with its node"))) {
          stop(running);
          return 1;
        }
        running.vmm().discard();
      }
      case Found.Idle idle -> idle.vmm().discard();
      case Found.Gone gone -> {
        if (!writeEnd(gone.record().getMicrovmUid(), record -> terminations.of(record, gone))) {
          return 1;
        }
        gone.remove().run();
      }
    }
    return 0;
  }

  /** False if that is to be tried again. */
  private boolean writeEnd(String uid, Function<MicroVmRecord, Termination> end) {
    Path file = state.microVm(uid).resolve("record");
    if (!Files.exists(file)) {
      return true;
    }
    try {
      MicroVmRecord record = MicroVmRecord.parseFrom(Files.readAllBytes(file));
      if (!record.getFinished()) {
        AtomicFile.write(
            file, record.toBuilder().setTermination(end.apply(record)).build().toByteArray());
      }
      return true;
    } catch (InvalidProtocolBufferException e) {
      LOG.log(Level.WARNING, "{0} is no record", file);
      return true;
    } catch (IOException e) {
      LOG.log(Level.ERROR, "cannot write down how {0} ended: {1}", uid, e);
      return false;
    }
  }

  /** Its exit record tells then what could not be written down here. */
  private static void stop(Found.Running running) {
    CompletableFuture<Void> ended = new CompletableFuture<>();
    Vmm vmm = running.vmm();
    vmm.listen(
        new VmmListener() {
          @Override
          public void onStatus(VmmStatus status) {
            if (status.getState() == VmmState.VMM_ENDED) {
              ended.complete(null);
            }
          }

          @Override
          public void onExit(VmmExit exit) {
            ended.complete(null);
          }
        });
    if (running.status().getState() != VmmState.VMM_ENDED) {
      var _ =
          vmm.request(VmmRequest.newBuilder().setStop(StopRequest.getDefaultInstance()), List.of());
      ended.completeOnTimeout(null, END_WITHIN.toMillis(), MILLISECONDS).join();
    }
    vmm.kill();
  }

  private boolean awaitNone(int kept) {
    long deadline = System.nanoTime() + END_WITHIN.toNanos();
    while (state.vmmIds().size() > kept) {
      if (System.nanoTime() - deadline > 0) {
        LOG.log(Level.ERROR, "these VMMs do not end: {0}", state.vmmIds());
        return false;
      }
      LockSupport.parkNanos(LOOK_AGAIN.toNanos());
    }
    return true;
  }
}
