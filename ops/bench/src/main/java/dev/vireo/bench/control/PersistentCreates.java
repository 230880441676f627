package dev.vireo.bench.control;

import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.Patience;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Clients of several controllers that create, each until its microVM runs: when a controller cannot
 * be reached, or none leads, the same request is made again at the next one, as a client does that
 * wants it done.
 */
final class PersistentCreates implements AutoCloseable {
  private static final Duration ATTEMPT = Patience.ofSeconds(10);
  private static final Duration PATIENCE = Patience.ofSeconds(60);
  private static final Duration PAUSE = Duration.ofMillis(100);

  private final List<ManagedChannel> controllers;
  private final String project;
  private final MicroVms names;
  private final MicroVmSpec spec = ProbeSpec.of("probe.run=tick");
  private final AtomicInteger begun = new AtomicInteger();
  private final AtomicInteger retried = new AtomicInteger();
  private final AtomicInteger failed = new AtomicInteger();
  private final AtomicReference<@Nullable StatusRuntimeException> failure = new AtomicReference<>();
  private final Map<String, String> uidsByName = new ConcurrentHashMap<>();
  private final List<Thread> clients = new ArrayList<>();
  private volatile boolean finishing;

  /**
   * @param controllers of one control plane; their owner closes them
   */
  PersistentCreates(List<ManagedChannel> controllers, String project) {
    this.controllers = List.copyOf(controllers);
    this.project = project;
    this.names = new MicroVms(controllers.getFirst(), project);
  }

  /** Has so many clients create one after the other, until {@link #finish}. */
  void start(int count) {
    for (int i = 0; i < count; i++) {
      Client client = new Client(i);
      clients.add(
          Thread.ofPlatform()
              .daemon()
              .name("client-" + i)
              .start(() -> {
                while (!finishing) {
                  var _ = client.create();
                }
              }));
    }
  }

  /** One more create, by a client of its own; returns whether it was answered, once it was. */
  boolean create() {
    return new Client(begun.get()).create();
  }

  /** Lets all that is on its way end. */
  void finish() throws InterruptedException {
    finishing = true;
    for (Thread client : clients) {
      client.join();
    }
  }

  /** Creates that were answered with a microVM that runs. */
  int answered() {
    return uidsByName.size();
  }

  /** Creates that took more than one attempt. */
  int retried() {
    return retried.get();
  }

  /** Creates that were answered with an error that no further attempt would help, or not at all. */
  int failed() {
    return failed.get();
  }

  /** The first of these. */
  @Nullable StatusRuntimeException failure() {
    return failure.get();
  }

  /** Of those answered, how many a controller does not know, or not as running. */
  int lostAt(ManagedChannel controller) {
    Map<String, String> running = new HashMap<>();
    for (MicroVm microVm : new MicroVms(controller, project).list()) {
      if (microVm.getStatus().getState() == MicroVmState.RUNNING) {
        running.put(microVm.getMeta().getName(), microVm.getMeta().getUid());
      }
    }
    return (int)
        uidsByName.entrySet().stream()
            .filter(one -> !one.getValue().equals(running.get(one.getKey())))
            .count();
  }

  private final class Client {
    private int controller;

    Client(int first) {
      controller = first;
    }

    boolean create() {
      CreateMicroVmRequest request =
          names.request("vm-" + begun.incrementAndGet(), spec).setWait(Wait.WAIT_RUNNING).build();
      long end = System.nanoTime() + PATIENCE.toNanos();
      for (int attempt = 1; ; attempt++) {
        if (attempt == 2) {
          retried.incrementAndGet();
        }
        ManagedChannel asked = controllers.get(controller % controllers.size());
        try {
          MicroVm made = attempt(asked, request);
          uidsByName.put(made.getMeta().getName(), made.getMeta().getUid());
          return true;
        } catch (StatusRuntimeException e) {
          if (!mayHelp(e) || System.nanoTime() > end) {
            failed.incrementAndGet();
            failure.compareAndSet(null, e);
            return false;
          }
          asked.resetConnectBackoff();
          controller++;
          LockSupport.parkNanos(PAUSE.toNanos());
        }
      }
    }

    private static MicroVm attempt(ManagedChannel controller, CreateMicroVmRequest request) {
      return MicroVmServiceGrpc.newBlockingStub(controller)
          .withDeadlineAfter(ATTEMPT.toMillis(), TimeUnit.MILLISECONDS)
          .createMicroVm(request);
    }

    private static boolean mayHelp(StatusRuntimeException e) {
      return Errors.isConnectionLost(e.getStatus())
          || e.getStatus().getCode() == Status.Code.DEADLINE_EXCEEDED;
    }
  }

  @Override
  public void close() {
    finishing = true;
  }
}
