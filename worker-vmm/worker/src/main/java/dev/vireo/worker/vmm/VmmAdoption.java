package dev.vireo.worker.vmm;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MessageSocket;
import dev.vireo.linux.ProcessHandleFd;
import dev.vireo.proto.vmm.v1.ReleaseRequest;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.VmmRecord;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeoutException;

/**
 * What a starting worker does with the VMM directories that its predecessor left. A process is the
 * one that a record speaks of if its boot, pid and start time are, and if it says itself which
 * microVM it runs; never by name. What cannot be identified is ended, and said so.
 */
public final class VmmAdoption {
  private static final System.Logger LOG = System.getLogger("vmm");

  /** What became of one VMM directory. */
  public sealed interface Found {
    /** Runs this microVM, and has a connection to us again. */
    record Running(Vmm vmm, VmmRecord record, VmmStatus status) implements Found {}

    /** Waits for a spec. */
    record Idle(Vmm vmm) implements Found {}

    /**
     * The process is gone; the directory is still there.
     *
     * @param how it ended, a sentence for people
     * @param lastWords its exit record
     */
    record Gone(VmmRecord record, String how, Optional<VmmStatus> lastWords, Runnable remove)
        implements Found {}
  }

  private static final Duration END_WITHIN = Duration.ofSeconds(5);
  private static final String ENDED_MEANWHILE = "its VMM process ended while its worker was away";

  private final VmmHost host;
  private final Duration answerWithin;

  /**
   * @param answerWithin what a VMM that runs already may take to answer; the node waits for it
   */
  public VmmAdoption(VmmHost host, Duration answerWithin) {
    this.host = host;
    this.answerWithin = answerWithin;
  }

  /** Looks at every directory, all at once; waits for the slowest VMM to answer. */
  public List<Found> run() {
    List<CompletableFuture<Optional<Found>>> looks = new ArrayList<>();
    for (String id : host.state().vmmIds()) {
      looks.add(look(new VmmDirectory(host.state().vmm(id))));
    }
    return looks.stream().map(CompletableFuture::join).flatMap(Optional::stream).toList();
  }

  private CompletableFuture<Optional<Found>> look(VmmDirectory directory) {
    VmmRecord record;
    try {
      record = directory.read().orElseGet(VmmRecord::getDefaultInstance);
    } catch (IOException e) {
      LOG.log(Level.ERROR, "cannot read the record in {0}: {1}", directory.path(), e);
      return CompletableFuture.completedFuture(Optional.empty());
    }
    if (record.getPid() == 0) {
      return endNameless(directory);
    }
    Optional<ProcessHandleFd> process =
        record.getBootId().equals(host.bootId())
            ? ProcessHandleFd.open((int) record.getPid(), record.getStartTicks())
            : Optional.empty();
    if (process.isEmpty()) {
      return CompletableFuture.completedFuture(gone(directory, record, ENDED_MEANWHILE));
    }
    MessageSocket socket;
    try {
      socket = MessageSocket.connect(directory.controlSocket().toString());
    } catch (LinuxException e) {
      endUnreachable(directory, process.get(), e);
      return CompletableFuture.completedFuture(
          gone(directory, record, "its VMM process could not be reached and was ended"));
    }
    VmmProcess vmm = host.watch(directory, process.get(), socket);
    return host.status(vmm, answerWithin)
        .thenCompose(response -> identify(vmm, record, response.getStatus()))
        .exceptionallyCompose(failure -> refuse(vmm, record, "does not answer" + because(failure)));
  }

  private String because(Throwable failure) {
    Throwable cause = failure.getCause() == null ? failure : failure.getCause();
    return cause instanceof TimeoutException
        ? " within %d ms".formatted(answerWithin.toMillis())
        : ": " + cause.getMessage();
  }

  private CompletableFuture<Optional<Found>> identify(
      VmmProcess vmm, VmmRecord record, VmmStatus status) {
    if (status.getState() == VmmState.VMM_IDLE) {
      return takeBackIdle(vmm, record);
    }
    if (!record.getMicrovmUid().isEmpty()
        && status.getMicrovmUid().equals(record.getMicrovmUid())
        && status.getAttempt() == record.getAttempt()) {
      return found(new Found.Running(vmm, record, status));
    }
    return refuse(
        vmm,
        record,
        "says it runs microVM \"%s\", its record says \"%s\""
            .formatted(status.getMicrovmUid(), record.getMicrovmUid()));
  }

  /** Also one that was assigned, and whose worker was killed before it could say so. */
  private CompletableFuture<Optional<Found>> takeBackIdle(VmmProcess vmm, VmmRecord record) {
    if (!record.getVmmHome().equals(host.program().home().toString())) {
      return refuse(vmm, record, "is idle and of another build");
    }
    if (!record.getKind().equals(VmmKind.POOLED.label())) {
      return refuse(vmm, record, "is idle and of a kind that is not pooled");
    }
    try {
      vmm.directory().removeAssignment();
      host.enterGroup(vmm.directory(), vmm.pid()); // Its worker may have been killed before it was.
      return found(new Found.Idle(vmm));
    } catch (IOException e) {
      return refuse(vmm, record, "cannot be written down: " + e);
    }
  }

  private static CompletableFuture<Optional<Found>> found(Found found) {
    return CompletableFuture.completedFuture(Optional.of(found));
  }

  /** Ends a process that is ours and not what it should be; done when it has ended. */
  private CompletableFuture<Optional<Found>> refuse(VmmProcess vmm, VmmRecord record, String why) {
    LOG.log(Level.WARNING, "{0} {1}: it is ended", vmm, why);
    CompletableFuture<Optional<Found>> ended = new CompletableFuture<>();
    vmm.listen(
        new VmmListener() {
          @Override
          public void onStatus(VmmStatus status) {
            // It no longer matters.
          }

          @Override
          public void onExit(VmmExit exit) {
            ended.complete(
                gone(vmm.directory(), record, "its VMM process %s, and was ended".formatted(why)));
          }
        });
    vmm.kill();
    return ended;
  }

  private static void endUnreachable(
      VmmDirectory directory, ProcessHandleFd process, LinuxException why) {
    LOG.log(
        Level.WARNING,
        "VMM {0} (pid {1}) cannot be reached ({2}): it is ended",
        directory.id(),
        String.valueOf(process.pid()),
        why.getMessage());
    try (process) {
      process.signal(ProcessHandleFd.SIGKILL);
      var _ = process.awaitExit(END_WITHIN);
    }
  }

  private Optional<Found> gone(VmmDirectory directory, VmmRecord record, String how) {
    if (record.getMicrovmUid().isEmpty()) {
      host.remove(directory);
      return Optional.empty();
    }
    return Optional.of(
        new Found.Gone(record, how, directory.lastWords(), () -> host.remove(directory)));
  }

  /**
   * A process that was started and not yet written down when its worker was killed, or none. Its
   * socket is in our directory, so whoever listens there is ours, and has no guest: it is asked to
   * go.
   */
  private CompletableFuture<Optional<Found>> endNameless(VmmDirectory directory) {
    MessageSocket socket;
    try {
      socket = MessageSocket.connect(directory.controlSocket().toString());
    } catch (LinuxException nobodyListens) {
      host.remove(directory);
      return CompletableFuture.completedFuture(Optional.empty());
    }
    LOG.log(Level.WARNING, "VMM {0} has no record: it is asked to end", directory.id());
    return CompletableFuture.runAsync(() -> askToEnd(socket))
        .orTimeout(answerWithin.toMillis(), MILLISECONDS)
        .handle((ended, failure) -> {
          // Wakes the one who waits for an end that does not come.
          socket.shutdown();
          socket.close();
          if (failure == null) {
            host.remove(directory);
          } else {
            LOG.log(Level.ERROR, "VMM {0} does not end; its directory stays", directory.id());
          }
          return Optional.<Found>empty();
        });
  }

  private static byte[] releaseRequest() {
    return VmmRequest.newBuilder()
        .setId(1)
        .setRelease(ReleaseRequest.getDefaultInstance())
        .build()
        .toByteArray();
  }

  private static void askToEnd(MessageSocket socket) {
    socket.send(releaseRequest());
    while (socket.receive() != null) {
      // An answer; the end of the stream comes with the end of the process.
    }
  }
}
