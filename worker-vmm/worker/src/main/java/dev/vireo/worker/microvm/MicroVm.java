package dev.vireo.worker.microvm;

import static dev.vireo.proto.errors.ErrorReason.VMM_FAILED;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.DesiredState;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VsockDial;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.worker.boot.BootFiles;
import dev.vireo.worker.boot.ConsoleSizes;
import dev.vireo.worker.boot.ConsoleSockets;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.boot.VsockSocket;
import dev.vireo.worker.container.ContainerProcess;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.Time.Alarm;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.tracing.LaunchTrace.Milestone;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmExit;
import dev.vireo.worker.vmm.VmmListener;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Makes one assignment true: a state machine that compares what is wanted with what is, after every
 * word from the controller, the VMM or the clock, and acts on the difference alone. All of it runs
 * in one mailbox; different microVMs run side by side.
 */
final class MicroVm {
  private static final System.Logger LOG = System.getLogger("microvm");

  /** How long what a Welcome does not name may run on, for a Removal that says how to end it. */
  private static final Duration REMOVAL_FOLLOWS_WITHIN = Duration.ofSeconds(1);

  private static final Duration REPORT_LAUNCH_AFTER = Duration.ofMillis(100);

  private static final Duration CLEAN_UP_AGAIN = Duration.ofSeconds(1);
  private static final long DEFAULT_OUTPUT_BYTES = 16 << 20;

  private final String uid;
  private final Surroundings node;
  private final Path directory;
  private final Mailbox mailbox;
  private final VsockSocket vsock;
  private final VsockDials dials;
  private final GuestMetadata metadata;
  private final ConsoleSockets consoles;
  private final ContainerRoot containerRoot;
  private final VmmSteering steering;
  private final Terminations terminations;
  private final ReportWriter reports;
  private final RestartPolicy restartPolicy = new RestartPolicy();

  // Written in the mailbox, read anywhere.
  private volatile Assignment wanted;
  private volatile @Nullable MicroVmReport lastReport;
  private volatile boolean consoleMayGrow = true;

  // Touched in the mailbox only.
  private final RecordFile record;
  private final VmmRemains remains;
  private Phase phase = new Phase.Absent();
  private @Nullable RejectedException refusal;

  /** Of what is wanted; kept here alone, and for its first run. */
  private String traceparent = "";

  private boolean removing;
  private boolean removeByForce;

  /** The attempt that the controller knew of when it wanted this gone: its REMOVED answers that. */
  private long removedAttempt;

  /** The controller's last word about all that should be here did not name it. */
  private boolean disowned;

  /** Whether the controller has spoken of it to this worker. Until then nothing is done to it. */
  private boolean confirmed;

  MicroVm(Assignment wanted, Surroundings node) {
    this.uid = wanted.getUid();
    this.wanted = wanted;
    this.node = node;
    this.directory = node.state().microVm(uid);
    this.mailbox = new Mailbox(node.executor());
    this.vsock = VsockSocket.in(directory);
    this.dials = new VsockDials(vsock, node.time(), mailbox);
    this.metadata = new GuestMetadata(node.launcher(), vsock);
    this.consoles = new ConsoleSockets(directory);
    this.containerRoot = new ContainerRoot(directory);
    this.steering = new VmmSteering(node.time(), mailbox, this::onStatus);
    this.terminations = new Terminations(node.time());
    this.reports = new ReportWriter(uid, vsock, consoles);
    this.record = new RecordFile(directory);
    this.remains = new VmmRemains(record, node.time(), mailbox);
  }

  // ---- What comes from outside: each returns at once. ----

  /** The controller assigns it, or changes what it assigned. */
  void assign(Assignment assignment) {
    mailbox.execute(() -> onAssignment(assignment));
  }

  /**
   * The controller wants it gone.
   *
   * @param attempt the last that the controller knows of, 0 if it does not say
   */
  void remove(boolean force, long attempt) {
    mailbox.execute(() -> {
      confirmed = true;
      disowned = false;
      removedAttempt = Math.max(removedAttempt, attempt);
      removing = true;
      removeByForce |= force;
      step();
      report();
    });
  }

  /** The controller did not name it: unless it speaks of it soon, it goes by force. */
  void disown() {
    mailbox.execute(() -> disowned = true);
    node.time().after(REMOVAL_FOLLOWS_WITHIN, () -> mailbox.execute(this::removeIfDisowned));
  }

  private void removeIfDisowned() {
    if (disowned) {
      LOG.log(Level.INFO, "{0} should not be here", wanted.getName());
      remove(true, 0);
    }
  }

  /** A restarted worker found it running. Done when that is known here. */
  CompletableFuture<Void> recoverRunning(MicroVmRecord found, Vmm vmm, VmmStatus status) {
    return inMailbox(() -> {
      record.set(found);
      containerRoot.takeBack();
      Run run = new Run(node.time().nanos(), LaunchTrace.NONE);
      run.vmm = vmm;
      run.status = status;
      node.reservations().count(uid, found.getAssignment().getSpec());
      node.contextIds().count(uid, found.getVsockCid());
      node.networks().takeBack(uid, found.getAssignment().getSpec(), found.getNetwork(), true);
      phase = new Phase.Live(run);
      metadata.openAgain(found.getAssignment(), network());
      vmm.listen(listenerOf(run));
      onStatus(run, status);
    });
  }

  /**
   * A restarted worker found it ended. Done when that is known here.
   *
   * @param termination if the end is news
   * @param removeVmm what its VMM has left, which tells of the end, too
   */
  CompletableFuture<Void> recoverEnded(
      MicroVmRecord found, Optional<Termination> termination, Runnable removeVmm) {
    return inMailbox(() -> {
      takeBackEnded(found);
      if (found.hasProcessEnd() && !found.getFinished()) {
        record.save(found.toBuilder().setTermination(found.getProcessEnd()));
      } else if (found.hasTimeUp() && !found.getFinished()) {
        record.save(found.toBuilder().setTermination(found.getTimeUp()));
      } else if (termination.isPresent() && !found.getFinished()) {
        record.save(found.toBuilder().setTermination(termination.get()));
      }
      phase = found.getFinished() ? new Phase.Finished() : new Phase.Lapsed();
      consoleMayGrow = !found.getFinished();
      remains.remove(removeVmm);
      report();
    });
  }

  /**
   * A restarted worker found that its predecessor had begun to start it, again, and no VMM has had
   * it. Done when that is known here.
   */
  CompletableFuture<Void> recoverUnstarted(MicroVmRecord found) {
    return inMailbox(() -> {
      takeBackEnded(found);
      // A Hello without it would say that it is gone, and its disks with it.
      send(reports.launching(found.getAssignment(), found));
    });
  }

  private void takeBackEnded(MicroVmRecord found) {
    record.set(found);
    containerRoot.takeBack();
    node.contextIds().count(uid, found.getVsockCid());
    node.networks().takeBack(uid, found.getAssignment().getSpec(), found.getNetwork(), false);
  }

  private CompletableFuture<Void> inMailbox(Runnable task) {
    return CompletableFuture.runAsync(task, mailbox);
  }

  /** What was last reported; empty before the first report, and when nothing is here any more. */
  Optional<MicroVmReport> lastReport() {
    return Optional.ofNullable(lastReport);
  }

  /** Whether the guest may still write, now or in a later run. */
  boolean consoleMayGrow() {
    return consoleMayGrow;
  }

  long consoleMaxBytes() {
    return BootFiles.consoleMaxBytes(wanted.getSpec());
  }

  /** Of the output of its container's process, with what is written besides. */
  long maxOutputBytes() {
    long wished = wanted.getSpec().getContainer().getMaxOutputBytes();
    return wished == 0 ? DEFAULT_OUTPUT_BYTES : wished;
  }

  Path directory() {
    return directory;
  }

  /** The VMM that has it, if one does. */
  CompletableFuture<Optional<Vmm>> vmm() {
    CompletableFuture<Optional<Vmm>> answer = new CompletableFuture<>();
    mailbox.execute(() ->
        answer.complete(
            phase instanceof Phase.Live(Run run)
                ? Optional.ofNullable(run.vmm)
                : Optional.empty()));
    return answer;
  }

  // ---- What happens. ----

  private void onAssignment(Assignment assignment) {
    if (phase instanceof Phase.Removed) {
      // It came while this object was leaving the set: there is a place for a new one now.
      node.assignAgain(assignment);
      return;
    }
    confirmed = true;
    disowned = false;
    long attempt = assignment.getAttempt();
    if (attempt < wanted.getAttempt()) {
      node.report(
          MicroVmReport.newBuilder()
              .setUid(uid)
              .setName(assignment.getName())
              .setAttempt(attempt)
              .setOutcome(Outcome.FENCED)
              .setMessage("attempt %d is known here".formatted(wanted.getAttempt()))
              .build());
      return;
    }
    if (attempt > wanted.getAttempt()) {
      // Newer than the wish to remove it, too.
      removing = false;
      removeByForce = false;
    }
    if (attempt > wanted.getAttempt() || assignment.getGeneration() >= wanted.getGeneration()) {
      wanted = withoutTrace(assignment);
      traceparent = assignment.getTraceparent();
    }
    step();
    report();
  }

  private static Assignment withoutTrace(Assignment assignment) {
    return assignment.getTraceparent().isEmpty()
        ? assignment
        : assignment.toBuilder().clearTraceparent().build();
  }

  private VmmListener listenerOf(Run run) {
    return new VmmListener() {
      @Override
      public void onStatus(VmmStatus status) {
        mailbox.execute(() -> MicroVm.this.onStatus(run, status));
      }

      @Override
      public void onDial(VsockDial dial) {
        mailbox.execute(() -> MicroVm.this.onDial(run, dial));
      }

      @Override
      public void onExit(VmmExit exit) {
        mailbox.execute(() -> MicroVm.this.onExit(run, exit));
      }
    };
  }

  private void onStatus(Run run, VmmStatus status) {
    run.status = status;
    if (status.getState() == VmmState.VMM_RUNNING) {
      supervise(run);
    }
    boolean startsToRun = status.getState() == VmmState.VMM_RUNNING && !record.get().hasStartTime();
    if (startsToRun) {
      record.set(record.edit().setStartTime(Timestamps.of(node.time().instant())));
    }
    watchTime(run);
    tell(run.trace, status);
    if (status.getState() == VmmState.VMM_ENDED) {
      release(run);
    }
    step();
    report();
    if (startsToRun) {
      record.save(record.edit());
    }
  }

  private void tell(LaunchTrace trace, VmmStatus status) {
    if (status.getState() == VmmState.VMM_RUNNING) {
      trace.reached(Milestone.RUNNING);
      if (status.getConsoleReady() && !record.get().hasProcess()) {
        trace.reached(Milestone.READY);
      }
    }
  }

  // ---- Its time. ----

  /** Once in a run, from when its guest runs. */
  private void watchTime(Run run) {
    if (run.timeLimits != null || !record.get().hasStartTime()) {
      return;
    }
    run.timeLimits =
        new TimeLimits(
            uid,
            wanted.getSpec().getLifecycle(),
            record.get().getStartTime(),
            node.activity(),
            node.time(),
            (cause, message) -> mailbox.execute(() -> onTimeUp(run, cause, message)));
    run.timeLimits.start();
  }

  /** What ends already, ends for its own reason. */
  private void onTimeUp(Run run, Termination.Cause cause, String message) {
    if (!run.stopRequested && !run.released) {
      LOG.log(Level.INFO, "{0}: {1}", wanted.getName(), message);
      record.save(record.edit().setTimeUp(terminations.of(cause, message)));
      if (!confirmed) {
        steering.stop(run, wanted, false); // Its limits count also while no controller is there.
      }
      step();
      report();
    }
  }

  // ---- A container's process. ----

  /** Once in a run: has the guest's agent start the process, or goes on with one that it runs. */
  private void supervise(Run run) {
    if (!record.get().hasProcess() || run.supervision != null) {
      return;
    }
    run.supervision =
        node.launcher()
            .supervise(
                vsock.path(),
                record.get().getProcess(),
                record.get().getAssignment().getSpec().getContainer(),
                OutputLog.in(directory, maxOutputBytes()),
                new Supervision.Listener() {
                  @Override
                  public void started() {
                    mailbox.execute(() -> run.processStarted = true);
                  }

                  @Override
                  public void ready() {
                    mailbox.execute(() -> onProcessReady(run));
                  }

                  @Override
                  public void ended(int exitStatus, String how) {
                    Termination end =
                        terminations.of(Termination.Cause.PROCESS_ENDED, how).toBuilder()
                            .setExitStatus(exitStatus)
                            .build();
                    mailbox.execute(() -> onProcessEnded(run, end));
                  }

                  @Override
                  public void failed(String why) {
                    Termination end = terminations.of(Termination.Cause.SETUP_FAILED, why);
                    mailbox.execute(() -> onProcessEnded(run, end));
                  }
                });
  }

  private void onProcessReady(Run run) {
    run.processReady = true;
    run.trace.reached(Milestone.READY);
    report();
  }

  /** The guest has nothing more to do. What ends because it is stopped, was stopped. */
  private void onProcessEnded(Run run, Termination end) {
    if (!run.stopRequested) {
      record.save(record.edit().setProcessEnd(end));
    }
    step();
    report();
  }

  private void onDial(Run run, VsockDial dial) {
    Vmm vmm = run.vmm;
    if (vmm != null) {
      dials.dial(vmm, dial);
    }
  }

  /** It has ended and said why: the process may go. */
  private void release(Run run) {
    if (!run.released) {
      Vmm vmm = run.vmm;
      if (vmm != null) {
        var _ = node.tally().ask(vmm); // The answer comes before the release takes effect.
      }
      steering.release(run, wanted.getName());
    }
  }

  /** Its last words to us may still be on their way, and its output with them. */
  private void onExit(Run run, VmmExit exit) {
    run.cancelKill();
    run.cancelTimeLimits();
    if (run.supervision == null) {
      onEnd(run, exit);
    } else {
      var _ = run.supervision.drain().whenCompleteAsync((_, _) -> onEnd(run, exit), mailbox);
    }
  }

  private void onEnd(Run run, VmmExit exit) {
    metadata.close();
    node.networks().disconnect(uid);
    Termination termination = terminations.of(record.get(), run, exit);
    run.trace.ended(termination.getMessage());
    LOG.log(
        termination.getCause() == Termination.Cause.VMM_LOST ? Level.WARNING : Level.INFO,
        "{0}: run ended, {1} {2}",
        wanted.getName(),
        termination.getCause(),
        termination.getMessage());
    if (run.refusal != null) {
      removeVmm(run);
      refused(run.refusal);
      return;
    }
    record.save(record.edit().setTermination(termination));
    if (confirmed) {
      decideAfterEnd(termination, Duration.ofNanos(node.time().nanos() - run.startNanos));
    } else {
      phase = new Phase.Lapsed();
    }
    removeVmm(run); // Not before: until it is written down, its exit record alone tells the end.
    step();
    report();
  }

  private void removeVmm(Run run) {
    Vmm vmm = run.vmm;
    if (vmm != null) {
      remains.remove(vmm::remove);
      node.tally().forget(vmm);
    }
  }

  private void decideAfterEnd(Termination termination, Duration ran) {
    boolean restart =
        wantsToRun()
            && wanted.getAttempt() == record.get().getAssignment().getAttempt()
            && RestartPolicy.allows(
                wanted.getSpec().getLifecycle().getRestartPolicy(), termination);
    if (!restart) {
      finish();
      return;
    }
    Duration wait = restartPolicy.waitAfter(ran);
    LOG.log(Level.INFO, "{0}: starts again in {1}", wanted.getName(), wait);
    phase = new Phase.Waiting(node.time().after(wait, () -> mailbox.execute(this::startAgain)));
  }

  private void startAgain() {
    if (phase instanceof Phase.Waiting) {
      record.save(record.edit().setRestarts(record.get().getRestarts() + 1));
      launch(LaunchTrace.NONE);
      report();
    }
  }

  private void finish() {
    node.reservations().release(uid);
    record.save(record.edit().setFinished(true));
    phase = new Phase.Finished();
    consoleMayGrow = false;
  }

  // ---- What is wanted against what is. ----

  private void step() {
    if (!confirmed) {
      return;
    }
    switch (phase) {
      case Phase.Absent() -> {
        if (removing) {
          cleanUp();
        } else if (wantsToRun()) {
          begin();
        } else {
          finishUnstarted();
        }
      }
      case Phase.Launching(Run run) -> {
        if (removing) {
          run.cancelImage();
        }
        if (removing && removeByForce) {
          run.kill();
        }
      }
      case Phase.Live(Run run) -> steer(run);
      case Phase.Waiting(Alarm alarm) -> {
        if (removing || isSuperseded() || !wantsToRun()) {
          alarm.cancel();
          finish();
          step();
        }
      }
      case Phase.Lapsed() -> {
        if (removing || isSuperseded()) {
          finish();
          step();
        } else {
          decideAfterEnd(record.get().getTermination(), Duration.ZERO);
        }
      }
      case Phase.Finished() -> {
        if (removing) {
          cleanUp();
        } else if (isSuperseded()) {
          if (wantsToRun()) {
            begin();
          } else {
            finishUnstarted();
          }
        }
      }
      case Phase.Removed() -> {
        // Nothing is left to do anything with.
      }
    }
  }

  private boolean wantsToRun() {
    return !removing && wanted.getSpec().getDesiredState() != DesiredState.DESIRED_STOPPED;
  }

  /** What was last started is not what is assigned now. */
  private boolean isSuperseded() {
    return wanted.getAttempt() > record.get().getAssignment().getAttempt();
  }

  private void steer(Run run) {
    if (run.stopRequested
        || removing
        || isSuperseded()
        || !wantsToRun()
        || record.get().hasProcessEnd()
        || record.get().hasTimeUp()) {
      steering.stop(run, wanted, removing && removeByForce);
    } else {
      steering.steer(run, wanted.getSpec());
    }
  }

  // ---- Starting. ----

  /** A first run under this attempt. */
  private void begin() {
    record.set(anew());
    refusal = null;
    consoleMayGrow = true;
    LaunchTrace trace = node.tracer().follow(wanted, traceparent);
    traceparent = "";
    launch(trace);
  }

  /** The record of this attempt, with what those before it have left: the directory is theirs. */
  private MicroVmRecord.Builder anew() {
    MicroVmRecord before = record.get();
    MicroVmRecord.Builder first =
        MicroVmRecord.newBuilder()
            .setAssignment(wanted)
            .setContinued(before.hasAssignment())
            .setVsockCid(before.getVsockCid());
    if (before.hasProcess()) {
      first.setProcess(before.getProcess()); // Its writable layer is one above that image.
    }
    if (before.hasNetwork()) {
      first.setNetwork(before.getNetwork());
    }
    return first;
  }

  private void launch(LaunchTrace trace) {
    Run run = new Run(node.time().nanos(), trace);
    run.consoleSizes = ConsoleSizes.of(wanted.getSpec());
    record.set(record.edit().clearProcessEnd().clearTimeUp());
    try {
      node.reservations().reserve(wanted);
      if (wanted.getSpec().hasContainer() && !record.get().hasProcess()) {
        obtainImage(run);
      } else {
        openAndStart(run);
      }
    } catch (RejectedException e) {
      trace.ended(e.sentence());
      refused(e);
    }
  }

  private void openAndStart(Run run) throws RejectedException {
    BootFiles files = node.launcher().open(specOfThisNode(), root());
    run.trace.reached(Milestone.FILES_OPEN);
    phase = new Phase.Launching(run);
    try {
      record.write();
      remains.removeIfWritten();
      metadata.open(wanted, network());
      node.networks().connect(uid);
    } catch (IOException e) {
      files.close();
      throw cannotWrite(e);
    } catch (RejectedException e) {
      files.close();
      throw e;
    }
    reportIfSlow(run);
    start(run, files);
  }

  private RejectedException cannotWrite(IOException why) {
    return new RejectedException(VMM_FAILED, "", "cannot write %s: %s".formatted(directory, why));
  }

  /** Which may take minutes, the first time on this node. */
  private void obtainImage(Run run) throws RejectedException {
    phase = new Phase.Launching(run);
    try {
      record.write();
      remains.removeIfWritten();
    } catch (IOException e) {
      throw cannotWrite(e);
    }
    reportIfSlow(run);
    run.image = node.launcher().obtainImage(wanted.getSpec().getContainer());
    var _ =
        run.image.whenCompleteAsync(
            (image, failure) -> imageObtained(run, image, failure), mailbox);
  }

  private void imageObtained(Run run, @Nullable ContainerImage image, @Nullable Throwable failure) {
    if (!(phase instanceof Phase.Launching(Run current)) || current != run) {
      return;
    }
    try {
      if (image == null) {
        throw Refusals.byImage(wanted.getSpec().getContainer().getImage(), failure);
      }
      keep(image);
      openAndStart(run);
    } catch (RejectedException e) {
      run.trace.ended(e.sentence());
      refused(e);
    }
  }

  private void keep(ContainerImage image) throws RejectedException {
    ExecRequest process = ContainerProcess.of(wanted.getSpec().getContainer(), image);
    try {
      containerRoot.keep(image);
      record.set(record.edit().setProcess(process));
      record.write();
    } catch (IOException e) {
      throw cannotWrite(e);
    }
  }

  private void start(Run run, BootFiles files) {
    var _ =
        node.launcher()
            .launch(
                wanted,
                files,
                directory,
                run.trace,
                vmm -> {
                  run.vmm = vmm;
                  return listenerOf(run);
                })
            .whenCompleteAsync((response, failure) -> launched(run, response, failure), mailbox);
  }

  private Optional<Path> root() {
    return record.get().hasProcess() ? Optional.of(containerRoot.path()) : Optional.empty();
  }

  private Optional<NetworkStatus> network() {
    return record.get().hasNetwork() ? Optional.of(record.get().getNetwork()) : Optional.empty();
  }

  /** With what the node gives it, the same in all its runs. */
  private MicroVmSpec specOfThisNode() throws RejectedException {
    MicroVmSpec spec = specWithContextId();
    Optional<NetworkStatus> network = node.networks().assign(uid, spec);
    if (network.isEmpty()) {
      return spec;
    }
    record.set(record.edit().setNetwork(network.get()));
    return Networks.complete(spec, network.get());
  }

  private MicroVmSpec specWithContextId() throws RejectedException {
    MicroVmSpec spec = wanted.getSpec();
    consoles.checkLength(spec.getVirtioConsole());
    if (!spec.hasVsock() && !spec.hasContainer()) {
      return spec;
    }
    vsock.checkLength();
    int cid = node.contextIds().assign(uid, spec, record.get().getVsockCid());
    record.set(record.edit().setVsockCid(cid));
    return spec.toBuilder().setVsock(spec.getVsock().toBuilder().setCid(cid)).build();
  }

  /** Most launches are over before anybody could make use of the news that they have begun. */
  private void reportIfSlow(Run run) {
    lastReport = reports.launching(wanted, record.get());
    node.time()
        .after(
            REPORT_LAUNCH_AFTER,
            () ->
                mailbox.execute(() -> {
                  if (phase instanceof Phase.Launching(Run current) && current == run) {
                    node.report(reports.launching(wanted, record.get()));
                  }
                }));
  }

  private void launched(Run run, @Nullable VmmResponse response, @Nullable Throwable failure) {
    if (!(phase instanceof Phase.Launching(Run current)) || current != run) {
      return;
    }
    if (response == null && run.vmm == null) {
      String noVmm = "no VMM: " + Refusals.cause(failure);
      run.trace.ended(noVmm);
      refused(new RejectedException(VMM_FAILED, "", noVmm));
      return;
    }
    phase = new Phase.Live(run);
    if (response == null) {
      // Whether the guest has begun is not known. The VMM's end will be told, and decides.
      LOG.log(Level.WARNING, "{0}: create failed: {1}", wanted.getName(), Refusals.cause(failure));
      run.kill();
    } else if (!response.getErrorReason().isEmpty()) {
      // Its end will be told. A VMM that could not do it once is not used again.
      run.refusal = Refusals.byVmm(response);
      run.kill();
    } else {
      // An event that overtook the answer is the newer one.
      boolean heard = run.status.getState() != VmmState.VMM_STATE_UNSPECIFIED;
      onStatus(run, heard ? run.status : response.getStatus());
    }
  }

  /** A launch that left no process behind. */
  private void refused(RejectedException why) {
    metadata.close();
    node.networks().disconnect(uid);
    if (!record.get().hasStartTime()
        && record.get().getRestarts() == 0
        && !record.get().getContinued()) {
      reject(why);
      return;
    }
    // It ran here before: its disks are here, so no other node may be tried.
    refusal = why;
    record.save(
        record
            .edit()
            .setTermination(terminations.of(Termination.Cause.SETUP_FAILED, why.sentence())));
    finish();
    step();
    report();
  }

  /** As if it had never been here: another node may take it. */
  private void reject(RejectedException why) {
    LOG.log(Level.INFO, "{0}: rejected, {1} {2}", wanted.getName(), why.reason(), why.sentence());
    leave(
        reportOf(Outcome.REJECTED, MicroVmState.FAILED)
            .setReason(why.reason().name())
            .setField(why.field())
            .setMessage(why.sentence())
            .build());
  }

  private void finishUnstarted() {
    record.set(
        anew()
            .setTermination(
                terminations.of(
                    Termination.Cause.STOPPED_BY_REQUEST, "stopped before it was started")));
    finish();
    report();
  }

  // ---- Going. ----

  private void cleanUp() {
    MicroVmReport.Builder removed = reportOf(Outcome.REMOVED, MicroVmState.STOPPED);
    leave(removed.setAttempt(Math.max(removed.getAttempt(), removedAttempt)).build());
  }

  /**
   * Removes all that is left, leaves the set, and says so; tries again for as long as it cannot and
   * no newer attempt has begun, whose disks those are then.
   */
  private void leave(MicroVmReport lastWord) {
    if (phase instanceof Phase.Removed) {
      return;
    }
    try {
      StateDirectory.removeTree(directory);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0}: cannot remove {1}: {2}", wanted.getName(), directory, e);
      phase = new Phase.Finished();
      send(
          reportOf(Outcome.FAILED_NEEDS_CLEANUP, MicroVmState.FAILED)
              .setReason(VMM_FAILED.name())
              .setMessage("cannot remove " + directory + ": " + e)
              .build());
      long attempt = wanted.getAttempt();
      var _ =
          node.time()
              .after(
                  CLEAN_UP_AGAIN, () -> mailbox.execute(() -> leaveUnlessAfter(attempt, lastWord)));
      return;
    }
    remains.leave();
    containerRoot.letGo();
    node.reservations().release(uid);
    node.contextIds().release(uid);
    node.activity().forget(uid);
    node.networks().release(uid);
    phase = new Phase.Removed();
    consoleMayGrow = false;
    lastReport = null;
    node.left(this, uid);
    node.report(lastWord);
  }

  private void leaveUnlessAfter(long attempt, MicroVmReport lastWord) {
    if (phase instanceof Phase.Finished && wanted.getAttempt() == attempt) {
      leave(lastWord);
    }
  }

  // ---- Telling. ----

  private void report() {
    reports.of(phase, wanted, record.get(), refusal).ifPresent(this::send);
  }

  private MicroVmReport.Builder reportOf(Outcome outcome, MicroVmState state) {
    return reports.of(outcome, state, wanted, record.get());
  }

  private void send(MicroVmReport report) {
    if (!report.equals(lastReport)) {
      lastReport = report;
      node.report(report);
    }
  }
}
