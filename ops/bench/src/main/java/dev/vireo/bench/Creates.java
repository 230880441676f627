package dev.vireo.bench;

import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.BootTimings;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.WatchMicroVmsRequest;
import dev.vireo.proto.v1.WatchMicroVmsResponse;
import io.grpc.Context;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/** How fast microVMs come: one at a time, and as many as the controller takes. */
final class Creates {
  /** 200 of them fit into a machine that 128 MiB guests would fill. */
  private static final MicroVmSpec GUEST =
      ProbeSpec.of("probe.run=idle").toBuilder().setMemoryMib(64).build();

  private static final int IN_FLIGHT = 16;

  private final LocalCluster cluster;
  private final MicroVms microVms;
  private final VireoMicrovm vireo;
  private final BenchPlan plan;
  private final Consumer<String> progress;

  Creates(LocalCluster cluster, VireoMicrovm vireo, BenchPlan plan, Consumer<String> progress) {
    this.cluster = cluster;
    this.microVms = cluster.microVms();
    this.vireo = vireo;
    this.plan = plan;
    this.progress = progress;
  }

  /**
   * From the moment the client calls CreateMicroVm, by CLOCK_MONOTONIC, which all processes share.
   *
   * @param specReceivedMillis until the VMM has its spec: what controller and worker take
   */
  record Latencies(
      Samples specReceivedMillis, Samples firstInstructionMillis, Samples firstConsoleByteMillis) {}

  Latencies measureLatencies() throws IOException {
    progress.accept("Filling a pool of " + plan.burst() + " VMMs …");
    cluster.awaitWarmVmms(plan.burst());
    progress.accept("Latency of " + plan.bootSamples() + " creates …");
    List<Double> specReceived = new ArrayList<>();
    List<Double> firstInstruction = new ArrayList<>();
    List<Double> firstConsoleByte = new ArrayList<>();
    long next = System.nanoTime();
    for (int i = 0; i < plan.bootSamples(); i++) {
      String id = "boot-" + i;
      long called = System.nanoTime(); // CLOCK_MONOTONIC, as the VMM's
      microVms.create(id, GUEST);
      BootTimings timings = awaitFirstConsoleByte(id);
      specReceived.add((timings.getSpecReceivedNs() - called) / 1e6);
      firstInstruction.add((timings.getFirstExitNs() - called) / 1e6);
      firstConsoleByte.add((timings.getFirstConsoleByteNs() - called) / 1e6);
      microVms.delete(id);
      next += plan.bootInterval().toNanos();
      LockSupport.parkNanos(next - System.nanoTime());
    }
    vireo.awaitGone();
    return new Latencies(
        new Samples(specReceived), new Samples(firstInstruction), new Samples(firstConsoleByte));
  }

  private BootTimings awaitFirstConsoleByte(String id) {
    microVms.followLogs(id, text -> !text.isEmpty());
    return microVms.inspect(id).getTimings();
  }

  /** Creates per second, from the first call until a watch has seen the last one run. */
  double measureRate() throws Exception {
    cluster.awaitWarmVmms(plan.burst());
    progress.accept("Creating " + plan.burst() + " microVMs at once …");
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      Future<Long> allRunning = threads.submit(() -> awaitRunning(plan.burst()));
      Semaphore inFlight = new Semaphore(IN_FLIGHT);
      long start = System.nanoTime();
      List<Future<?>> calls = new ArrayList<>();
      for (int i = 0; i < plan.burst(); i++) {
        String id = "burst-" + i;
        inFlight.acquire();
        calls.add(
            threads.submit(() -> {
              try {
                return microVms.create(id, GUEST);
              } finally {
                inFlight.release();
              }
            }));
      }
      for (Future<?> call : calls) {
        var _ = call.get();
      }
      double seconds = (allRunning.get() - start) / 1e9;
      deleteAll();
      return plan.burst() / seconds;
    }
  }

  /** Returns the moment at which the last of so many was seen running. */
  private long awaitRunning(int count) {
    try (Context.CancellableContext call = Context.current().withCancellation()) {
      Context previous = call.attach();
      try {
        Iterator<WatchMicroVmsResponse> events =
            microVms
                .api()
                .watchMicroVms(
                    WatchMicroVmsRequest.newBuilder().setParent(microVms.parent()).build());
        Set<String> running = new HashSet<>();
        while (running.size() < count) {
          var microVm = events.next().getMicrovm();
          switch (microVm.getStatus().getState()) {
            case RUNNING -> running.add(microVm.getMeta().getName());
            case FAILED -> throw new IllegalStateException("a microVM failed: " + microVm);
            default -> {}
          }
        }
        return System.nanoTime();
      } finally {
        call.detach(previous);
      }
    }
  }

  private void deleteAll() {
    for (var microVm : microVms.list()) {
      String name = microVm.getMeta().getName();
      microVms.delete(name.substring(name.lastIndexOf('/') + 1));
    }
    vireo.awaitGone();
  }
}
