package dev.vireo.vmm.machine;

import dev.vireo.linux.Signals;
import dev.vireo.vmm.kvm.Vcpu;
import dev.vireo.vmm.machine.ExitCounters.Cause;
import dev.vireo.vmm.trace.TracePoint;

/** The thread of one vCPU: lets the guest run and serves its exits, until the gate says end. */
final class VcpuThread implements Runnable {
  /** What a vCPU's thread reports to its machine. */
  interface Listener {
    /** Before the guest's first instruction on this vCPU. */
    void beforeFirstRun(int vcpu);

    /** The guest came back to user space for the first time on this vCPU. */
    void afterFirstRun(int vcpu);

    /** KVM cannot go on, or a bug of ours stopped it. */
    void failed(String message);

    /** The thread has left the guest for good; the last thing it does. */
    void left();
  }

  /** Serves the exits of one vCPU that only its architecture has, and counts them. */
  interface ArchitectureExits {
    /**
     * Serves an exit.
     *
     * @return false if it knows none for this reason
     */
    boolean serve(int exit);
  }

  private final Vcpu vcpu;
  private final VcpuGate gate;
  private final MmioBus bus;
  private final ArchitectureExits others;
  private final ExitCounters counters;
  private final TracePoint<ExitRecorder> trace;
  private final Listener listener;

  private final Object kickLock = new Object();
  private int threadId;

  VcpuThread(
      Vcpu vcpu,
      VcpuGate gate,
      MmioBus bus,
      ArchitectureExits others,
      ExitCounters counters,
      TracePoint<ExitRecorder> trace,
      Listener listener) {
    this.vcpu = vcpu;
    this.gate = gate;
    this.bus = bus;
    this.others = others;
    this.counters = counters;
    this.trace = trace;
    this.listener = listener;
  }

  ExitCounters counters() {
    return counters;
  }

  /** Makes the vCPU leave the guest, or not enter it. Costs nothing once the thread has ended. */
  void kick() {
    synchronized (kickLock) {
      if (threadId != 0) {
        Signals.kick(threadId);
      }
    }
  }

  @Override
  public void run() {
    try {
      Signals.blockKick();
      setThreadId(Signals.currentThreadId());
      vcpu.setSignalMask(Signals.maskInsideKvmRun());
      runGuest();
    } catch (InterruptedException | RuntimeException | Error e) {
      listener.failed("vCPU " + vcpu.id() + ": " + e);
    } finally {
      setThreadId(0);
      // The JVM unblocks signals when a thread ends, and a kick that is delivered ends the process.
      Signals.consumeKicks();
      listener.left();
    }
  }

  private void setThreadId(int value) {
    synchronized (kickLock) {
      threadId = value;
    }
  }

  private void runGuest() throws InterruptedException {
    boolean first = true;
    while (gate.isOpen() || waitAtGate()) {
      if (first) {
        listener.beforeFirstRun(vcpu.id());
      }
      int exit = vcpu.run();
      if (first) {
        first = false;
        listener.afterFirstRun(vcpu.id());
      }
      ExitRecorder recorder = trace.recorder();
      if (recorder == null) {
        serve(exit);
      } else {
        serveTraced(exit, recorder);
      }
    }
  }

  private void serveTraced(int exit, ExitRecorder recorder) {
    long sinceNanos = System.nanoTime();
    serve(exit);
    recorder.served(vcpu, exit, counters.last(), sinceNanos, System.nanoTime());
  }

  private boolean waitAtGate() throws InterruptedException {
    boolean goOn = gate.pass();
    if (goOn) {
      vcpu.noteThatGuestWasPaused();
    }
    return goOn;
  }

  private void serve(int exit) {
    switch (exit) {
      case Vcpu.EXIT_MMIO -> bus.serve(vcpu, counters);
      case Vcpu.INTERRUPTED -> {
        counters.count(Cause.INTERRUPTED);
        Signals.consumeKicks();
      }
      case Vcpu.EXIT_FAIL_ENTRY -> fail("failed entry, hardware reason ");
      case Vcpu.EXIT_INTERNAL_ERROR -> fail("KVM internal error, suberror ");
      default -> {
        if (!others.serve(exit)) {
          counters.count(Cause.OTHER);
          listener.failed("vCPU " + vcpu.id() + ": unexpected exit, reason " + exit);
        }
      }
    }
  }

  private void fail(String what) {
    counters.count(Cause.FAILURE);
    listener.failed(
        "vCPU " + vcpu.id() + ": " + what + vcpu.failureReason() + ", at " + vcpu.position());
  }
}
