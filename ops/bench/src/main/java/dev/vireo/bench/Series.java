package dev.vireo.bench;

import java.util.ArrayList;
import java.util.List;

/** The rounds of one workload on one machine. */
final class Series {
  private final List<Double> rates = new ArrayList<>();
  private final List<Double> cpuMicros = new ArrayList<>();
  private final List<Double> exits = new ArrayList<>();
  private final List<Double> interrupts = new ArrayList<>();

  void add(Workload workload, Finished finished) {
    double operations = finished.output().number(workload.count());
    rates.add((double) finished.output().number(workload.unit()));
    cpuMicros.add(finished.cpuSeconds() * 1e6 / operations);
    exits.add(finished.exitsPerIo());
    interrupts.add(finished.output().number("interrupts") / operations);
  }

  /** Operations a second. */
  Samples rate() {
    return new Samples(rates);
  }

  /** Of the machine's process, its vCPU's time in the guest included, for an operation. */
  double cpuMicrosPerOperation() {
    return new Samples(cpuMicros).median();
  }

  /** To user space, on the device's registers, for a request; NaN where nobody counts them. */
  double exitsPerRequest() {
    return new Samples(exits).median();
  }

  double interruptsPerOperation() {
    return new Samples(interrupts).median();
  }
}
