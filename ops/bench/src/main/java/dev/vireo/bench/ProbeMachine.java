package dev.vireo.bench;

import java.io.IOException;

/** A virtual machine monitor that runs the probe guest. */
interface ProbeMachine {
  /** Runs a probe program to its end, which must be a good one, and takes the machine down. */
  Finished run(GuestSetup setup) throws IOException;
}
