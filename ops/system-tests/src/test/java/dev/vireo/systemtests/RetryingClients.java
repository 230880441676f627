package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;

import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceBlockingStub;
import dev.vireo.proto.v1.MicroVmSpec;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Clients that create and delete, each one after the other, by any controller that answers, and try
 * again until each call has been answered.
 */
final class RetryingClients implements AutoCloseable {
  private static final int ALIVE_AT_MOST = 6;
  private static final String TICKING = "probe.run=tick probe.interval_ms=200";
  private static final AtomicInteger COUNT = new AtomicInteger();

  private final MicroVmSpec spec = ProbeSpec.of(TICKING).toBuilder().setMemoryMib(16).build();
  private final List<ManagedChannel> controllers;
  private final Duration attempt;
  private final MicroVms names;
  private final AtomicInteger begun = new AtomicInteger();
  private final AtomicInteger placements = new AtomicInteger();
  private final List<Client> clients;
  private volatile boolean finishing;
  private volatile @Nullable Throwable failure;

  /**
   * @param controllers to each of them; stay their owner's
   * @param attempt how long one is waited for, before another is asked
   */
  RetryingClients(int count, List<ManagedChannel> controllers, Duration attempt) {
    this.controllers = List.copyOf(controllers);
    this.attempt = attempt;
    this.names = new MicroVms(controllers.getFirst(), "default");
    this.clients = IntStream.range(0, count).mapToObj(Client::new).toList();
    clients.forEach(client -> client.thread.start());
  }

  /** So many that begin from now on, of any client. */
  void awaitPlacements(int more) {
    int until = begun.get() + more;
    await("placements")
        .pollInterval(Duration.ofMillis(10))
        .atMost(ReplicatedCluster.PATIENCE)
        .until(() -> placements.get() >= until || failure != null);
    assertNoFailure();
  }

  private void assertNoFailure() {
    if (failure != null) {
      throw new AssertionError("a call that could be retried failed", failure);
    }
  }

  /** Begins nothing more, and waits for the last answers. */
  void finish() throws InterruptedException {
    finishing = true;
    for (Client client : clients) {
      client.thread.join();
    }
    assertNoFailure();
  }

  /** The uids of what was answered and not deleted, by name. */
  Map<String, String> running() {
    Map<String, String> running = new TreeMap<>();
    for (Client client : clients) {
      client.alive.forEach(each -> running.put(each.getMeta().getName(), each.getMeta().getUid()));
    }
    return running;
  }

  void deleteAll() {
    for (Client client : clients) {
      client.alive.forEach(client::delete);
    }
  }

  @Override
  public void close() {
    try {
      finishing = true;
      for (Client client : clients) {
        client.thread.join();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** One of them. */
  private final class Client {
    private final Deque<MicroVm> alive = new ArrayDeque<>();
    private final Thread thread = Thread.ofPlatform().name("client").unstarted(this::run);
    private int controller;

    private Client(int controller) {
      this.controller = controller;
    }

    private void run() {
      try {
        while (!finishing) {
          create();
          if (alive.size() > ALIVE_AT_MOST / clients.size()) {
            delete(alive.removeFirst());
          }
        }
      } catch (RuntimeException | Error e) {
        failure = e;
      }
    }

    private void create() {
      begun.incrementAndGet();
      String id = "vm-" + COUNT.incrementAndGet();
      CreateMicroVmRequest request = names.request(id, spec).setWait(Wait.WAIT_RUNNING).build();
      alive.add(answered(api -> api.createMicroVm(request)));
      placements.incrementAndGet();
    }

    private void delete(MicroVm microVm) {
      DeleteMicroVmRequest request =
          DeleteMicroVmRequest.newBuilder()
              .setName(microVm.getMeta().getName())
              .setForce(true)
              .setAllowMissing(true)
              .build();
      answered(api -> api.deleteMicroVm(request));
    }

    /** As a client does that wants it done: again, and elsewhere, if that can help. */
    private MicroVm answered(Function<MicroVmServiceBlockingStub, MicroVm> call) {
      long end = System.nanoTime() + ReplicatedCluster.PATIENCE.toNanos();
      while (true) {
        ManagedChannel asked = controllers.get(controller % controllers.size());
        try {
          return call.apply(
              MicroVmServiceGrpc.newBlockingStub(asked)
                  .withDeadlineAfter(attempt.toMillis(), TimeUnit.MILLISECONDS));
        } catch (StatusRuntimeException e) {
          Status.Code code = e.getStatus().getCode();
          boolean mayHelp =
              code == Status.Code.UNAVAILABLE || code == Status.Code.DEADLINE_EXCEEDED;
          if (!mayHelp || System.nanoTime() - end > 0) {
            throw e;
          }
          asked.resetConnectBackoff();
          controller++;
          pause();
        }
      }
    }

    private static void pause() {
      try {
        Thread.sleep(100);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }
  }
}
