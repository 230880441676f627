package dev.vireo.bench.sandbox;

import dev.vireo.bench.Samples;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.proto.v1.BootTimings;
import dev.vireo.proto.v1.Condition;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * From the create call until a client has the first byte that a container of a cached image writes,
 * and what of it goes where, by the moments at which a watch was told.
 */
final class FirstByte {
  private static final MicroVmSpec SPEC = spec();

  private final LocalCluster cluster;
  private final Consumer<String> progress;

  FirstByte(LocalCluster cluster, Consumer<String> progress) {
    this.cluster = cluster;
    this.progress = progress;
  }

  private static MicroVmSpec spec() {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(256);
    // It lives on for a moment, so that what its VMM knows can still be asked for.
    spec.getContainerBuilder()
        .setImage("busybox")
        .addAllArguments(List.of("sh", "-c", "echo first; sleep 100000"));
    return spec.build();
  }

  /** Milliseconds, which all but the VMM's own add up to all. */
  record Run(double all, double placement, double vmm, double kernelAndAgent, double process) {}

  /**
   * @param vmmAlone of a VMM, from its spec to its guest's first instruction
   */
  record Result(List<Run> runs, Samples vmmAlone) {
    Samples all() {
      return new Samples(runs.stream().map(Run::all).toList());
    }
  }

  Result measure(int runs) {
    List<Run> taken = new ArrayList<>();
    List<Double> vmmAlone = new ArrayList<>();
    for (int i = 0; i <= runs; i++) {
      progress.accept(
          i == 0
              ? "A container to warm up …"
              : "Run to the first byte, %d of %d …".formatted(i, runs));
      try (LinuxGuest guest = new LinuxGuest(cluster, "first-" + i)) {
        Run run = run(guest);
        BootTimings timings = guest.inspect().getTimings();
        if (i > 0) {
          taken.add(run);
          vmmAlone.add((timings.getFirstRunNs() - timings.getSpecReceivedNs()) / 1e6);
        }
      }
    }
    return new Result(taken, new Samples(vmmAlone));
  }

  /** What a watch is told of, in order. */
  private enum Moment {
    PLACED,
    GUEST_RUNS,
    PROCESS_RUNS
  }

  private Run run(LinuxGuest guest) {
    Map<Moment, Long> seen = new ConcurrentHashMap<>();
    try (var watching = Context.current().withCancellation()) {
      Thread watch = Thread.ofVirtual().start(watching.wrap(() -> watch(guest.name(), seen)));
      long called = System.nanoTime();
      var _ = guest.create(SPEC, Wait.WAIT_UNSPECIFIED);
      var _ = guest.awaitOutput();
      long first = System.nanoTime();
      watching.cancel(null);
      join(watch);
      // What was told later than the byte came, or not yet, was over by then.
      long placed = at(seen, Moment.PLACED, first);
      long guestRuns = at(seen, Moment.GUEST_RUNS, first);
      long processRuns = at(seen, Moment.PROCESS_RUNS, first);
      return new Run(
          millis(called, first),
          millis(called, placed),
          millis(placed, guestRuns),
          millis(guestRuns, processRuns),
          millis(processRuns, first));
    }
  }

  private static void join(Thread watch) {
    try {
      watch.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static long at(Map<Moment, Long> seen, Moment moment, long end) {
    return Math.min(seen.getOrDefault(moment, end), end);
  }

  private static double millis(long from, long to) {
    return (to - from) / 1e6;
  }

  private void watch(String name, Map<Moment, Long> seen) {
    try {
      Iterator<WatchMicroVmsResponse> events =
          MicroVmServiceGrpc.newBlockingStub(cluster.channel())
              .watchMicroVms(
                  WatchMicroVmsRequest.newBuilder().setParent(cluster.microVms().parent()).build());
      while (events.hasNext()) {
        MicroVm microVm = events.next().getMicrovm();
        if (microVm.getMeta().getName().equals(name)) {
          note(microVm, seen);
        }
      }
    } catch (StatusRuntimeException over) {
      // There is the byte.
    }
  }

  private static void note(MicroVm microVm, Map<Moment, Long> seen) {
    long now = System.nanoTime();
    MicroVmState state = microVm.getStatus().getState();
    if (!microVm.getStatus().getNode().isEmpty()) {
      var _ = seen.putIfAbsent(Moment.PLACED, now);
    }
    if (state == MicroVmState.RUNNING) {
      var _ = seen.putIfAbsent(Moment.GUEST_RUNS, now);
    }
    if (microVm.getStatus().getConditionsList().stream().anyMatch(FirstByte::isReady)) {
      var _ = seen.putIfAbsent(Moment.PROCESS_RUNS, now);
    }
  }

  private static boolean isReady(Condition condition) {
    return condition.getType().equals("Ready") && condition.getStatus() == Condition.Status.TRUE;
  }
}
