package dev.vireo.sim.client;

import com.google.protobuf.Duration;
import dev.vireo.controller.api.MicroVmGrpcService;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Lifecycle.NodeLoss;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.sim.controller.SimController;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.network.Link;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;

/**
 * A client with a few names of its own, which it creates, steers and deletes for as long as it is
 * let. It repeats what may be repeated until it has an answer, and says so when an answer is not
 * what it was promised.
 */
public final class SimClient {
  private static final String PARENT = "projects/sim";
  private static final int NAMES = 3;
  private static final long DEADLINE_SECONDS = 60;
  private static final double LOST = 0.02;

  /** Deadlines that pass before it stops to wait: what it waits for may need others to go first. */
  private static final int MOST_LATE = 2;

  private static final int[] MEMORY_MIB = {256, 512, 1024};

  private final SimProcess process;
  private final Link link;
  private final Supplier<SimController> controller;
  private final Promises promises;
  private final RandomGenerator random;
  private final List<Name> names;
  private boolean stopping;

  /** A name, and what is known of what it stands for. */
  private static final class Name {
    private final String id;
    private Optional<MicroVm> present = Optional.empty();
    private boolean deleted;

    Name(String id) {
      this.id = id;
    }

    String full() {
      return PARENT + "/microvms/" + id;
    }
  }

  public SimClient(
      SimProcess process,
      Link link,
      Supplier<SimController> controller,
      Promises promises,
      RandomGenerator random) {
    this.process = process;
    this.link = link;
    this.controller = controller;
    this.promises = promises;
    this.random = random;
    this.names =
        java.util.stream.IntStream.range(0, NAMES)
            .mapToObj(i -> new Name(process.name() + "-" + i))
            .toList();
    process.execute(this::work);
  }

  /** Begins nothing new. */
  public void stop() {
    stopping = true;
  }

  private void work() {
    while (!stopping) {
      process.sleep(java.time.Duration.ofMillis(random.nextLong(3_000)));
      Name name = names.get(random.nextInt(names.size()));
      promises.begun();
      if (name.deleted) {
        lookWhetherGone(name);
      } else if (name.present.isEmpty()) {
        create(name);
      } else {
        change(name, name.present.get());
      }
      promises.finished();
    }
  }

  // ---- what it does

  private void create(Name name) {
    CreateMicroVmRequest request =
        CreateMicroVmRequest.newBuilder()
            .setParent(PARENT)
            .setMicrovmId(name.id)
            .setRequestId(new UUID(random.nextLong(), random.nextLong()).toString())
            .setWait(random.nextInt(4) == 0 ? Wait.WAIT_RUNNING : Wait.WAIT_UNSPECIFIED)
            .setMicrovm(MicroVm.newBuilder().setSpec(spec()))
            .build();
    try {
      MicroVm created = persistently(request, MicroVmGrpcService::createMicroVm, "CreateMicroVm");
      know(name, created);
    } catch (StatusRuntimeException e) {
      ErrorReason reason =
          isLate(e) ? ErrorReason.WAIT_TIMED_OUT : Errors.reasonOf(e).orElse(ErrorReason.INTERNAL);
      switch (reason) {
        // It ended, or was not there in time: made it was.
        case VMM_FAILED, STATE_CONFLICT, WAIT_TIMED_OUT, MICROVM_NOT_FOUND -> learn(name);
        // No node is known yet, or none that is large enough.
        case NODE_RESOURCES_EXHAUSTED, KERNEL_NOT_FOUND -> process.say("refused: " + reason);
        default -> throw broken("a create was answered " + reason + ": " + e.getMessage());
      }
    }
  }

  private MicroVmSpec spec() {
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder()
            .setVcpus(1)
            .setMemoryMib(MEMORY_MIB[random.nextInt(MEMORY_MIB.length)]);
    spec.getBootBuilder().setKernel("probe");
    Lifecycle.Builder lifecycle =
        spec.getLifecycleBuilder()
            .setRestartPolicy(random.nextBoolean() ? RestartPolicy.ALWAYS : RestartPolicy.NEVER)
            .setStopGrace(seconds(1 + random.nextInt(4)))
            .setOnNodeLoss(
                random.nextBoolean() ? NodeLoss.NODE_LOSS_RESCHEDULE : NodeLoss.NODE_LOSS_FAIL);
    spec.getPlacementBuilder().setPriority(random.nextInt(3));
    if (random.nextInt(3) == 0) {
      spec.getPlacementBuilder().addTolerationsBuilder().setKey("unwell");
    }
    if (random.nextInt(8) == 0) {
      lifecycle.setTtl(seconds(5 + random.nextInt(40)));
    }
    return spec.build();
  }

  private static Duration.Builder seconds(long seconds) {
    return Duration.newBuilder().setSeconds(seconds);
  }

  private void know(Name name, MicroVm microVm) {
    promises.created(microVm.getMeta().getUid(), microVm.getSpec().getLifecycle().hasTtl());
    name.present = Optional.of(microVm);
  }

  private void learn(Name name) {
    Optional<MicroVm> found = get(name);
    found.ifPresent(microVm -> know(name, microVm));
  }

  private Optional<MicroVm> get(Name name) {
    try {
      return Optional.of(
          persistently(
              GetMicroVmRequest.newBuilder().setName(name.full()).build(),
              MicroVmGrpcService::getMicroVm,
              "GetMicroVm"));
    } catch (StatusRuntimeException e) {
      if (Errors.reasonOf(e).filter(ErrorReason.MICROVM_NOT_FOUND::equals).isEmpty()) {
        throw broken("a get was answered " + e);
      }
      return Optional.empty();
    }
  }

  private void change(Name name, MicroVm known) {
    switch (random.nextInt(8)) {
      case 0, 1 -> look(name, known);
      case 2 -> steer(name, MicroVmGrpcService::stopMicroVm);
      case 3 -> steer(name, MicroVmGrpcService::startMicroVm);
      case 4 -> steer(name, MicroVmGrpcService::pauseMicroVm);
      case 5 -> steer(name, MicroVmGrpcService::resumeMicroVm);
      default -> delete(name, known);
    }
  }

  private void look(Name name, MicroVm known) {
    String uid = known.getMeta().getUid();
    Optional<MicroVm> found = get(name);
    if (found.isEmpty() && promises.holds(uid)) {
      throw broken(name.id + " was promised, and is not found");
    }
    if (found.isEmpty()) {
      name.present = Optional.empty();
    } else if (!found.get().getMeta().getUid().equals(uid)) {
      throw broken(name.id + " was " + uid + " and is " + found.get().getMeta().getUid());
    }
  }

  private void steer(Name name, SimController.Method<SteerMicroVmRequest, MicroVm> how) {
    try {
      var _ =
          persistently(SteerMicroVmRequest.newBuilder().setName(name.full()).build(), how, "Steer");
    } catch (StatusRuntimeException e) {
      ErrorReason reason = Errors.reasonOf(e).orElse(ErrorReason.INTERNAL);
      switch (reason) {
        // Its state does not allow it, its node has no room for it now, its time was over.
        case STATE_CONFLICT, NODE_RESOURCES_EXHAUSTED -> process.say("refused: " + reason);
        case MICROVM_NOT_FOUND -> name.present.ifPresent(known -> look(name, known));
        default -> throw broken("a wish was answered " + e);
      }
    }
  }

  private void delete(Name name, MicroVm known) {
    promises.mayGo(known.getMeta().getUid());
    name.deleted = true;
    try {
      var _ =
          persistently(
              DeleteMicroVmRequest.newBuilder()
                  .setName(name.full())
                  .setForce(random.nextBoolean())
                  .build(),
              MicroVmGrpcService::deleteMicroVm,
              "DeleteMicroVm");
    } catch (StatusRuntimeException e) {
      if (Errors.reasonOf(e).filter(ErrorReason.MICROVM_NOT_FOUND::equals).isEmpty()) {
        throw broken("a delete was answered " + e);
      }
    }
  }

  private void lookWhetherGone(Name name) {
    if (get(name).isEmpty()) {
      name.present = Optional.empty();
      name.deleted = false;
    }
  }

  private static IllegalStateException broken(String how) {
    return new BrokenPromiseException(how);
  }

  // ---- how it calls

  /** Until there is an answer that repeating would not change. */
  private <Q, R> R persistently(Q request, SimController.Method<Q, R> method, String name) {
    int late = 0;
    while (true) {
      try {
        return once(request, method, name);
      } catch (StatusRuntimeException e) {
        late += isLate(e) ? 1 : 0;
        if (!isWorthRepeating(e) || (waits(request) && late == MOST_LATE)) {
          process.say(name + " answered " + e.getStatus());
          throw e;
        }
        process.sleep(java.time.Duration.ofMillis(100 + random.nextLong(2_000)));
      }
    }
  }

  private static boolean waits(Object request) {
    return request instanceof CreateMicroVmRequest create
        && create.getWait() != Wait.WAIT_UNSPECIFIED;
  }

  private static boolean isWorthRepeating(StatusRuntimeException e) {
    return e.getStatus().getCode() == Status.Code.UNAVAILABLE || isLate(e);
  }

  /** By our own deadline; the controller's says so. */
  private static boolean isLate(StatusRuntimeException e) {
    return e.getStatus().getCode() == Status.Code.DEADLINE_EXCEEDED && Errors.reasonOf(e).isEmpty();
  }

  private <Q, R> R once(Q request, SimController.Method<Q, R> method, String name) {
    process.sleep(link.delay());
    SimController server = controller.get();
    if (random.nextDouble() < LOST || !server.serves()) {
      process.sleep(link.untilNoticed());
      throw Status.UNAVAILABLE.asRuntimeException();
    }
    process.say("calls " + name + " " + brief(request));
    CompletableFuture<R> answer = new CompletableFuture<>();
    server.process().onKill(() -> later(() -> answer.completeExceptionally(unavailable())));
    boolean lost = random.nextDouble() < LOST;
    SimController.Call<R> call = server.call(request, method, name);
    var _ =
        call.answer()
            .whenComplete((value, error) -> {
              if (!lost) {
                var _ =
                    process.simulation().after(link.delay(), () -> complete(answer, value, error));
              }
            });
    var _ =
        process
            .simulation()
            .after(
                java.time.Duration.ofSeconds(DEADLINE_SECONDS),
                () ->
                    process.execute(() -> {
                      if (answer.completeExceptionally(
                          Status.DEADLINE_EXCEEDED.asRuntimeException())) {
                        call.cancel().run();
                      }
                    }));
    return join(answer);
  }

  private <R> void complete(CompletableFuture<R> answer, R value, Throwable error) {
    process.execute(() -> {
      if (error == null) {
        answer.complete(value);
      } else {
        answer.completeExceptionally(error);
      }
    });
  }

  private void later(Runnable action) {
    var _ = process.simulation().after(link.untilNoticed(), () -> process.execute(action));
  }

  private static StatusRuntimeException unavailable() {
    return Status.UNAVAILABLE.withDescription("the connection is gone").asRuntimeException();
  }

  private static <R> R join(CompletableFuture<R> answer) {
    try {
      return answer.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof StatusRuntimeException status) {
        throw status;
      }
      throw e;
    }
  }

  private static String brief(Object request) {
    return switch (request) {
      case CreateMicroVmRequest create -> create.getMicrovmId() + " " + create.getRequestId();
      case GetMicroVmRequest get -> get.getName();
      case DeleteMicroVmRequest delete -> delete.getName();
      case SteerMicroVmRequest steer -> steer.getName();
      default -> request.getClass().getSimpleName();
    };
  }
}
