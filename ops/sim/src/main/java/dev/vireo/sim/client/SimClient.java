package dev.vireo.sim.client;

import com.google.protobuf.Duration;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.Lifecycle;
import dev.vireo.proto.v1.Lifecycle.NodeLoss;
import dev.vireo.proto.v1.Lifecycle.RestartPolicy;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.sim.controller.SimController;
import dev.vireo.sim.kernel.SimProcess;
import dev.vireo.sim.network.Link;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * A client with a few names of its own, which it creates, steers and deletes for as long as it is
 * let. It repeats what may be repeated until it has an answer, and says so when an answer is not
 * what it was promised.
 */
public final class SimClient {
  /** Of all clients. */
  public static final String PROJECT = "sim";

  private static final String PARENT = "projects/" + PROJECT;
  private static final int NAMES = 3;
  private static final long DEADLINE_SECONDS = 60;
  private static final double LOST = 0.02;

  /** How long a controller holds an answer back until it shows what that says, by any clock. */
  private static final java.time.Duration CATCH_UP = java.time.Duration.ofMillis(1_900);

  /** Deadlines that pass before it stops to wait: what it waits for may need others to go first. */
  private static final int MOST_LATE = 2;

  private static final int[] MEMORY_MIB = {256, 512, 1024};

  private final SimProcess process;
  private final Link link;
  private final Controllers controllers;
  private final Promises promises;
  private final Habits habits;
  private final RandomGenerator random;
  private final List<Name> names;
  private boolean stopping;

  /** The controller that has answered last, what it showed then, and how long it took. */
  private @Nullable SimController lastAsked;

  private long lastImageVersion;
  private java.time.Duration lastTook = java.time.Duration.ZERO;

  /** The controller that it asks, until that does not answer. */
  private int asked;

  /** Whom it can ask. */
  public interface Controllers {
    /** How many there are. */
    int count();

    SimController get(int index);

    /** Version of the last change to a microVM that the store has. */
    long newest();
  }

  /**
   * What it does that not all do.
   *
   * @param muster which of its microVMs are of gangs
   * @param limited whether it may be refused for the sake of a quota
   */
  public record Habits(Muster muster, boolean limited) {}

  /** A name, and what is known of what it stands for. */
  private static final class Name {
    private final String id;
    private Optional<MicroVm> present = Optional.empty();
    private boolean deleted;

    /** As of the last answer about it: what is older is of no use to this client. */
    private long version;

    /** Who has answered for it, and is to show it. */
    private @Nullable SimController shownBy;

    Name(String id) {
      this.id = id;
    }

    String full() {
      return PARENT + "/microvms/" + id;
    }
  }

  /**
   * @param first the controller that it asks first
   */
  public SimClient(
      SimProcess process,
      Link link,
      Controllers controllers,
      int first,
      Promises promises,
      Habits habits,
      RandomGenerator random) {
    this.process = process;
    this.link = link;
    this.controllers = controllers;
    this.asked = first;
    this.promises = promises;
    this.habits = habits;
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
    UUID requestId = new UUID(random.nextLong(), random.nextLong());
    boolean waits = random.nextInt(4) == 0;
    MicroVmSpec.Builder spec = spec();
    Optional<Gang> gang = habits.muster.next();
    gang.ifPresent(spec.getPlacementBuilder()::setGang);
    CreateMicroVmRequest request =
        CreateMicroVmRequest.newBuilder()
            .setParent(PARENT)
            .setMicrovmId(name.id)
            .setRequestId(requestId.toString())
            // The others of a gang may be this client's to make, after it.
            .setWait(waits && gang.isEmpty() ? Wait.WAIT_RUNNING : Wait.WAIT_UNSPECIFIED)
            .setMicrovm(MicroVm.newBuilder().setSpec(spec))
            .build();
    try {
      MicroVm created =
          persistently(request, MicroVmServiceGrpc.getCreateMicroVmMethod(), "CreateMicroVm");
      if (promises.isKnown(created.getMeta().getUid())) {
        throw broken("%s was made anew, and is answered to be an old one".formatted(name.id));
      }
      know(name, created);
      if (controllers.count() > 1 && random.nextBoolean()) {
        look(name, created);
      }
    } catch (StatusRuntimeException e) {
      ErrorReason reason =
          isLate(e) ? ErrorReason.WAIT_TIMED_OUT : Errors.reasonOf(e).orElse(ErrorReason.INTERNAL);
      switch (reason) {
        // It ended, or was not there in time: made it was.
        case VMM_FAILED, STATE_CONFLICT, WAIT_TIMED_OUT, MICROVM_NOT_FOUND -> learn(name);
        // No node is known yet, or none that is large enough.
        case NODE_RESOURCES_EXHAUSTED, KERNEL_NOT_FOUND -> process.say("refused: " + reason);
        case QUOTA_EXCEEDED -> {
          if (!habits.limited) {
            throw broken("a create was refused, and there is no quota: " + e.getMessage());
          }
          promises.refusedBeyondQuota();
          process.say("refused: " + e.getMessage());
        }
        default -> throw broken("a create was answered " + reason + ": " + e.getMessage());
      }
    }
  }

  private MicroVmSpec.Builder spec() {
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
    return spec;
  }

  private static Duration.Builder seconds(long seconds) {
    return Duration.newBuilder().setSeconds(seconds);
  }

  private void know(Name name, MicroVm microVm) {
    promises.created(microVm.getMeta().getUid(), microVm.getSpec().getLifecycle().hasTtl());
    name.present = Optional.of(microVm);
    name.shownBy = lastTook.compareTo(CATCH_UP) < 0 ? lastAsked : null;
    name.version = controllers.newest();
  }

  private void learn(Name name) {
    name.version = controllers.newest();
    Optional<MicroVm> found = get(name);
    found.ifPresent(microVm -> know(name, microVm));
  }

  /**
   * What there is of a name, from a controller that shows as much as is known of it here: one that
   * does not lead may be behind, and the next is asked.
   */
  private Optional<MicroVm> get(Name name) {
    while (true) {
      Seen seen = see(name);
      if (controllers.count() == 1 || seen.imageVersion >= name.version) {
        return seen.microVm;
      }
      if (seen.microVm.isEmpty() && Objects.equals(lastAsked, name.shownBy) && holds(name)) {
        throw broken(name.id + " is not shown by the controller that has answered for it");
      }
      process.say("%s shows %s as of %d".formatted(asked, name.id, seen.imageVersion));
      moveOn();
      process.sleep(java.time.Duration.ofMillis(100 + random.nextLong(2_000)));
    }
  }

  private boolean holds(Name name) {
    return name.present.filter(known -> promises.holds(known.getMeta().getUid())).isPresent();
  }

  /** What one controller shows. */
  private record Seen(Optional<MicroVm> microVm, long imageVersion) {}

  private Seen see(Name name) {
    try {
      MicroVm found =
          persistently(
              GetMicroVmRequest.newBuilder().setName(name.full()).build(),
              MicroVmServiceGrpc.getGetMicroVmMethod(),
              "GetMicroVm");
      return new Seen(Optional.of(found), lastImageVersion);
    } catch (StatusRuntimeException e) {
      if (Errors.reasonOf(e).filter(ErrorReason.MICROVM_NOT_FOUND::equals).isEmpty()) {
        throw broken("a get was answered " + e);
      }
      return new Seen(Optional.empty(), lastImageVersion);
    }
  }

  private void change(Name name, MicroVm known) {
    switch (random.nextInt(8)) {
      case 0, 1 -> look(name, known);
      case 2 -> steer(name, MicroVmServiceGrpc.getStopMicroVmMethod());
      case 3 -> steer(name, MicroVmServiceGrpc.getStartMicroVmMethod());
      case 4 -> steer(name, MicroVmServiceGrpc.getPauseMicroVmMethod());
      case 5 -> steer(name, MicroVmServiceGrpc.getResumeMicroVmMethod());
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

  private void steer(Name name, MethodDescriptor<SteerMicroVmRequest, MicroVm> how) {
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
              MicroVmServiceGrpc.getDeleteMicroVmMethod(),
              "DeleteMicroVm");
    } catch (StatusRuntimeException e) {
      if (Errors.reasonOf(e).filter(ErrorReason.MICROVM_NOT_FOUND::equals).isEmpty()) {
        throw broken("a delete was answered " + e);
      }
    }
    name.version = controllers.newest();
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
  private <Q, R> R persistently(Q request, MethodDescriptor<Q, R> method, String name) {
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
        moveOn();
        process.sleep(java.time.Duration.ofMillis(100 + random.nextLong(2_000)));
      }
    }
  }

  private void moveOn() {
    asked = (asked + 1) % controllers.count();
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

  private <Q, R> R once(Q request, MethodDescriptor<Q, R> method, String name) {
    process.sleep(link.delay());
    SimController server = controllers.get(asked);
    if (random.nextDouble() < LOST || !server.serves() || !server.cable().isUp()) {
      process.sleep(link.untilNoticed());
      throw Status.UNAVAILABLE.asRuntimeException();
    }
    process.say("calls " + name + " " + brief(request));
    CompletableFuture<SimController.Answer<R>> answer = new CompletableFuture<>();
    Runnable cut = () -> later(() -> answer.completeExceptionally(unavailable()));
    server.process().onKill(cut);
    server.cable().carry(cut);
    boolean lost = random.nextDouble() < LOST;
    SimController.Call<R> call = server.call(request, method);
    var _ =
        call.answer()
            .whenComplete((value, _) -> {
              server.cable().drop(cut);
              if (!lost) {
                var _ = process.simulation().after(link.delay(), () -> complete(answer, value));
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
    return valueOf(server, join(answer));
  }

  private <R> void complete(CompletableFuture<R> answer, R value) {
    process.execute(() -> answer.complete(value));
  }

  private <R> R valueOf(SimController server, SimController.Answer<R> answer) {
    lastAsked = server;
    lastImageVersion = answer.imageVersion();
    lastTook = answer.took();
    R value = answer.value();
    if (!answer.status().isOk() || value == null) {
      throw answer.status().asRuntimeException(answer.trailers());
    }
    if (value instanceof MicroVm microVm
        && microVm.getMeta().getResourceVersion() > answer.imageVersion()
        && answer.took().compareTo(CATCH_UP) < 0) {
      throw broken(
          "%s was answered as of version %d by a controller that shows %d"
              .formatted(
                  microVm.getMeta().getName(),
                  microVm.getMeta().getResourceVersion(),
                  answer.imageVersion()));
    }
    return value;
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
