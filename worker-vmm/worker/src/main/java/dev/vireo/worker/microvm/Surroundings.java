package dev.vireo.worker.microvm;

import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.proto.worker.v1.MicroVmReport;
import dev.vireo.worker.network.Networks;
import dev.vireo.worker.state.StateDirectory;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.tracing.LaunchTracer;
import java.util.concurrent.Executor;

/** What a {@link MicroVm} has around it. */
interface Surroundings {
  StateDirectory state();

  Launcher launcher();

  Reservations reservations();

  ContextIds contextIds();

  Networks networks();

  Tally tally();

  LaunchTracer tracer();

  Time time();

  /** Threads that mailboxes share. */
  Executor executor();

  /** Tells the controller, if it listens; if not, the next Hello will. */
  void report(MicroVmReport report);

  /** Nothing of it is here any more. */
  void left(MicroVm microVm, String uid);

  /** An assignment that reached a microVM which had just left. */
  void assignAgain(Assignment assignment);
}
