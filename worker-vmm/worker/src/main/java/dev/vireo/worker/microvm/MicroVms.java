package dev.vireo.worker.microvm;

import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.DesiredChange;
import dev.vireo.proto.worker.v1.MicroVmRecord;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.proto.worker.v1.MicroVmReport.Outcome;
import dev.vireo.proto.worker.v1.Removal;
import dev.vireo.worker.agent.Activity;
import dev.vireo.worker.log.ConsoleFile;
import dev.vireo.worker.log.LogFile;
import dev.vireo.worker.log.LogSources;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.tracing.LaunchTracer;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmAdoption.Found;
import dev.vireo.worker.vmm.VmmPool;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/**
 * All microVMs of this node: hands each the part of the desired state that is its own, and takes
 * back what a predecessor left running. Thread-safe.
 */
public final class MicroVms {
  private static final System.Logger LOG = System.getLogger("microvm");

  /** VMMs whose counters are asked for: a node may have a thousand. */
  private static final int ASKED_AT_ONCE = 4;

  private final StateDirectory state;
  private final Time time;
  private final Terminations terminations;
  private final Consumer<MicroVmReport> reports;
  private final Map<String, MicroVm> byUid = new ConcurrentHashMap<>();
  private final Tally tally = new Tally();
  private final Activity activity;
  private final Surroundings surroundings;
  private final AtomicBoolean tallying = new AtomicBoolean();

  /**
   * @param tracer stays the caller's to close
   * @param executor threads that all microVMs share; may be blocked by copying disks
   * @param reports to the controller
   */
  public MicroVms(
      StateDirectory state,
      Launcher launcher,
      Reservations reservations,
      Networks networks,
      LaunchTracer tracer,
      Time time,
      Executor executor,
      Consumer<MicroVmReport> reports) {
    this.state = state;
    this.time = time;
    this.terminations = new Terminations(time);
    this.reports = reports;
    this.activity = new Activity(time);
    this.surroundings = new Around(launcher, reservations, networks, tracer, executor);
  }

  /** Makes this the desired state of this node, as a whole. */
  public void setDesired(List<Assignment> assignments) {
    Set<String> named = new HashSet<>();
    for (Assignment assignment : assignments) {
      named.add(assignment.getUid());
      assign(assignment);
    }
    byUid.forEach((uid, microVm) -> {
      if (!named.contains(uid)) {
        microVm.disown();
      }
    });
  }

  /** One change of the desired state. */
  public void change(DesiredChange change) {
    if (change.hasUpsert()) {
      assign(change.getUpsert());
    }
    if (change.hasRemove()) {
      remove(change.getRemove());
    }
  }

  private void assign(Assignment assignment) {
    byUid
        .computeIfAbsent(assignment.getUid(), uid -> new MicroVm(assignment, surroundings))
        .assign(assignment);
  }

  private void remove(Removal removal) {
    MicroVm microVm = byUid.get(removal.getUid());
    if (microVm != null) {
      microVm.remove(removal.getForce(), removal.getAttempt());
    } else {
      reports.accept(
          MicroVmReport.newBuilder()
              .setUid(removal.getUid())
              .setAttempt(removal.getAttempt())
              .setOutcome(Outcome.REMOVED)
              .setState(MicroVmState.STOPPED)
              .build());
    }
  }

  /** What is true of each, at this moment. */
  public List<MicroVmReport> reports() {
    return byUid.values().stream().map(MicroVm::lastReport).flatMap(Optional::stream).toList();
  }

  /** What is true of this one, if it is here. */
  public Optional<MicroVmReport> report(String uid) {
    return find(uid).flatMap(MicroVm::lastReport);
  }

  /** How their guests are used. */
  public Activity activity() {
    return activity;
  }

  /** What all of them have counted. */
  public Tally tally() {
    return tally;
  }

  /**
   * Asks all VMMs what they have counted, a few at a time. Does nothing while the last round is not
   * over.
   */
  public void updateTally() {
    if (!tallying.compareAndSet(false, true)) {
      return;
    }
    Iterator<MicroVm> all = List.copyOf(byUid.values()).iterator();
    CompletableFuture<?>[] rounds = new CompletableFuture<?>[ASKED_AT_ONCE];
    for (int i = 0; i < ASKED_AT_ONCE; i++) {
      rounds[i] = askAll(all);
    }
    var _ = CompletableFuture.allOf(rounds).whenComplete((_, _) -> tallying.set(false));
  }

  private CompletableFuture<Void> askAll(Iterator<MicroVm> left) {
    MicroVm next;
    synchronized (left) {
      if (!left.hasNext()) {
        return CompletableFuture.completedFuture(null);
      }
      next = left.next();
    }
    return next.vmm()
        .thenCompose(
            vmm -> vmm.map(tally::ask).orElseGet(() -> CompletableFuture.completedFuture(null)))
        .thenComposeAsync(_ -> askAll(left), surroundings.executor());
  }

  /** What one microVM has written, if it is here. */
  public Optional<LogSources.Log> log(String uid, LogSource source) {
    return find(uid)
        .map(microVm -> {
          // Asked first: what was written before the end is then read before the end is told.
          boolean mayGrow = microVm.consoleMayGrow();
          return new LogSources.Log(logFile(microVm, source), mayGrow);
        });
  }

  private static LogFile logFile(MicroVm microVm, LogSource source) {
    return switch (source) {
      case LOG_SOURCE_OUTPUT -> OutputLog.in(microVm.directory(), microVm.maxOutputBytes());
      case LOG_SOURCE_CONSOLE, LOG_SOURCE_UNSPECIFIED, UNRECOGNIZED ->
          ConsoleFile.in(microVm.directory(), microVm.consoleMaxBytes());
    };
  }

  /** The microVM of this uid, if it is here. */
  Optional<MicroVm> find(String uid) {
    return Optional.ofNullable(byUid.get(uid));
  }

  /**
   * Takes back what a predecessor left. Nothing is ended and nothing started before the controller
   * has said what should be here. To be called before all else.
   *
   * <p>Waits until all of it is known: a Hello that leaves out what runs here would tell the
   * controller that it is gone.
   */
  public void recover(List<Found> found, VmmPool pool) {
    Map<String, Found> byMicroVm = new HashMap<>();
    for (Found one : found) {
      switch (one) {
        case Found.Idle(Vmm vmm) -> pool.add(vmm);
        case Found.Running running -> byMicroVm.put(running.record().getMicrovmUid(), running);
        // What runs counts more than what a run before it left.
        case Found.Gone gone -> byMicroVm.putIfAbsent(gone.record().getMicrovmUid(), gone);
      }
    }
    CompletableFuture<?>[] recovered =
        state.microVmUids().stream()
            .map(uid -> recover(uid, Optional.ofNullable(byMicroVm.get(uid))))
            .toArray(CompletableFuture<?>[]::new);
    CompletableFuture.allOf(recovered).join();
    for (Found one : found) {
      switch (one) {
        case Found.Gone gone -> removeUnlessTaken(gone, byMicroVm);
        case Found.Running running -> endUnlessTaken(running);
        case Found.Idle idle -> {
          // The pool has it.
        }
      }
    }
  }

  private CompletableFuture<Void> recover(String uid, Optional<Found> found) {
    Optional<MicroVmRecord> record = read(state.microVm(uid));
    if (record.isEmpty() || (found.isEmpty() && !isWorthKeeping(record.get()))) {
      LOG.log(Level.INFO, "{0} was never started: what there is of it is removed", uid);
      removeTree(state.microVm(uid));
      return CompletableFuture.completedFuture(null);
    }
    MicroVm microVm = new MicroVm(record.get().getAssignment(), surroundings);
    byUid.put(uid, microVm);
    return switch (found.orElse(null)) {
      case Found.Running(Vmm vmm, var _, VmmStatus status) -> {
        LOG.log(Level.INFO, "{0}: taken back, {1}", name(record.get()), vmm);
        yield microVm.recoverRunning(record.get(), vmm, status);
      }
      case Found.Gone gone ->
          microVm.recoverEnded(
              record.get(), Optional.of(terminations.of(record.get(), gone)), gone.remove());
      case Found.Idle idle -> throw new IllegalStateException("idle VMMs have no microVM");
      case null ->
          wasStarted(record.get())
              ? microVm.recoverEnded(
                  record.get(),
                  record.get().hasTermination()
                      ? Optional.empty()
                      : Optional.of(lost("its VMM is gone")),
                  () -> {})
              : microVm.recoverUnstarted(record.get());
    };
  }

  /** An earlier attempt that ran here has left its disks. */
  private static boolean isWorthKeeping(MicroVmRecord record) {
    return wasStarted(record) || record.getContinued();
  }

  private static boolean wasStarted(MicroVmRecord record) {
    return record.hasStartTime() || record.hasTermination();
  }

  /** Its microVM removes it when the end is written down. */
  private void removeUnlessTaken(Found.Gone gone, Map<String, Found> byMicroVm) {
    String uid = gone.record().getMicrovmUid();
    if (!byUid.containsKey(uid) || !gone.equals(byMicroVm.get(uid))) {
      gone.remove().run();
    }
  }

  private void endUnlessTaken(Found.Running running) {
    if (!byUid.containsKey(running.record().getMicrovmUid())) {
      LOG.log(Level.WARNING, "{0} runs a microVM that has no record: it is ended", running.vmm());
      running.vmm().discard();
    }
  }

  private Termination lost(String message) {
    return terminations.of(Termination.Cause.VMM_LOST, message);
  }

  private static String name(MicroVmRecord record) {
    return record.getAssignment().getName();
  }

  private static Optional<MicroVmRecord> read(Path directory) {
    try {
      return Optional.of(RecordFile.read(directory));
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0} has no record that can be read: {1}", directory, e);
      return Optional.empty();
    }
  }

  private static void removeTree(Path directory) {
    try {
      StateDirectory.removeTree(directory);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "cannot remove {0}: {1}", directory, e);
    }
  }

  /** What each microVM sees of this set. */
  private final class Around implements Surroundings {
    private final Launcher launcher;
    private final Reservations reservations;
    private final ContextIds contextIds = new ContextIds();
    private final Networks networks;
    private final LaunchTracer tracer;
    private final Executor executor;

    Around(
        Launcher launcher,
        Reservations reservations,
        Networks networks,
        LaunchTracer tracer,
        Executor executor) {
      this.launcher = launcher;
      this.reservations = reservations;
      this.networks = networks;
      this.tracer = tracer;
      this.executor = executor;
    }

    @Override
    public StateDirectory state() {
      return state;
    }

    @Override
    public Launcher launcher() {
      return launcher;
    }

    @Override
    public Reservations reservations() {
      return reservations;
    }

    @Override
    public ContextIds contextIds() {
      return contextIds;
    }

    @Override
    public Networks networks() {
      return networks;
    }

    @Override
    public Tally tally() {
      return tally;
    }

    @Override
    public Activity activity() {
      return activity;
    }

    @Override
    public LaunchTracer tracer() {
      return tracer;
    }

    @Override
    public Time time() {
      return time;
    }

    @Override
    public Executor executor() {
      return executor;
    }

    @Override
    public void report(MicroVmReport report) {
      reports.accept(report);
    }

    @Override
    public void left(MicroVm microVm, String uid) {
      byUid.remove(uid, microVm);
    }

    @Override
    public void assignAgain(Assignment assignment) {
      assign(assignment);
    }
  }
}
