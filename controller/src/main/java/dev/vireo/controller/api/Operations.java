package dev.vireo.controller.api;

import com.google.common.base.Joiner;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.lifecycle.Steering;
import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Page;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.Selection;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.placement.Placer;
import dev.vireo.controller.reconcile.PendingMicroVms;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.ExplainPlacementResponse;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.ResizeConsoleRequest;
import dev.vireo.proto.v1.ResizeMemoryRequest;
import dev.vireo.proto.v1.ResourceMeta;
import dev.vireo.proto.v1.SteerMicroVmRequest;
import dev.vireo.scheduler.Explanation;
import io.grpc.StatusRuntimeException;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.jboss.logging.Logger;

/** What can be done with microVMs that exist: get, list, delete, steer, resize. */
final class Operations {
  private static final Logger LOG = Logger.getLogger(Operations.class);
  private static final int DEFAULT_PAGE_SIZE = 100;
  private static final int MAX_PAGE_SIZE = 1_000;

  private final MicroVms microVms;
  private final PendingMicroVms pending;
  private final Placer placer;
  private final PageTokens pageTokens;
  private final TimeSource time;

  Operations(
      MicroVms microVms,
      PendingMicroVms pending,
      Placer placer,
      PageTokens pageTokens,
      TimeSource time) {
    this.microVms = microVms;
    this.pending = pending;
    this.placer = placer;
    this.pageTokens = pageTokens;
    this.time = time;
  }

  StoredMicroVm get(String name) {
    MicroVmName parsed = parse(name);
    return microVms.find(parsed).orElseThrow(() -> notFound(parsed));
  }

  ListMicroVmsResponse list(ListMicroVmsRequest request) {
    Selection selection = Creations.selection(request.getParent(), request.getLabelSelector());
    int size = pageSize(request.getPageSize());
    String list = "microvms?%s&%s".formatted(request.getParent(), request.getLabelSelector());
    // Before the page is read: a watch from here misses nothing that the page does not show.
    long version = microVms.version();
    Optional<PageTokens.Position> position = pageTokens.decode(list, request.getPageToken());
    Page page = microVms.page(selection, position.flatMap(p -> MicroVmName.parse(p.after())), size);
    ListMicroVmsResponse.Builder response = ListMicroVmsResponse.newBuilder();
    page.microVms().forEach(microVm -> response.addMicrovms(microVm.microVm()));
    long firstVersion = position.map(PageTokens.Position::version).orElse(version);
    if (page.more()) {
      response.setNextPageToken(
          pageTokens.encode(
              list, new PageTokens.Position(page.microVms().getLast().name(), firstVersion)));
    }
    return response.setResourceVersion(firstVersion).build();
  }

  /** 0 is the default; more than the most is the most (AIP-158). */
  static int pageSize(int asked) {
    if (asked < 0) {
      throw Violations.invalidField("page_size", "is %d; 0 to %d.".formatted(asked, MAX_PAGE_SIZE));
    }
    return asked == 0 ? DEFAULT_PAGE_SIZE : Math.min(asked, MAX_PAGE_SIZE);
  }

  /** Marks it as to be deleted, or, if no node has it, deletes it. Blocks until that is durable. */
  MicroVm delete(DeleteMicroVmRequest request) {
    MicroVmName name = parse(request.getName());
    Optional<StoredMicroVm> found = microVms.find(name);
    if (found.isEmpty() && request.getAllowMissing()) {
      return MicroVm.newBuilder()
          .setMeta(ResourceMeta.newBuilder().setName(name.toString()))
          .build();
    }
    String uid = found.orElseThrow(() -> notFound(name)).uid();
    Optional<StoredMicroVm> deleted =
        microVms.update(
            uid,
            microVm -> {
              checkEtag(microVm, request.getEtag());
              return Lifecycle.nodeId(microVm.microVm()).isEmpty()
                  ? new Verdict.Remove()
                  : new Verdict.Put(
                      Lifecycle.deleting(microVm.record(), request.getForce(), time.now()));
            });
    if (deleted.isEmpty() && !request.getAllowMissing()) {
      throw notFound(name);
    }
    StoredMicroVm last = deleted.orElse(found.get());
    LOG.infof("deleting microvm=%s uid=%s force=%s", last.name(), uid, request.getForce());
    return Lifecycle.isDeleting(last.microVm())
        ? last.microVm()
        : Lifecycle.deleting(last.record(), request.getForce(), time.now()).getMicrovm();
  }

  /** Changes what is desired. Blocks until that is durable. */
  MicroVm steer(Steering steering, SteerMicroVmRequest request) {
    MicroVmName name = parse(request.getName());
    String uid = microVms.find(name).orElseThrow(() -> notFound(name)).uid();
    StoredMicroVm steered;
    try {
      steered =
          microVms
              .update(
                  uid,
                  microVm -> {
                    checkEtag(microVm, request.getEtag());
                    checkState(microVm, steering);
                    return new Verdict.Put(steered(microVm, steering));
                  })
              .orElseThrow(() -> notFound(name));
    } finally {
      pending.settle(uid);
    }
    LOG.infof("%s microvm=%s uid=%s", steering, name, uid);
    return steered.microVm();
  }

  /** Changes the sizes of memory that a spec's devices are asked for. */
  MicroVm resizeMemory(ResizeMemoryRequest request) {
    return resize(
        request.getName(),
        request.getEtag(),
        microVm ->
            Lifecycle.resized(
                microVm.record(),
                MemorySizes.resized(microVm.microVm().getSpec(), request),
                time.now()));
  }

  /** Changes a console's size in the spec. */
  MicroVm resizeConsole(ResizeConsoleRequest request) {
    Violations violations = new Violations();
    ConsoleValidator.validateSize("size", request.getSize(), violations);
    violations.throwIfAny();
    return resize(
        request.getName(),
        request.getEtag(),
        microVm -> {
          int port = ConsoleValidator.console(microVm.microVm().getSpec(), request);
          return Lifecycle.resized(microVm.record(), port, request.getSize(), time.now());
        });
  }

  /** Blocks until the change is durable. */
  private MicroVm resize(
      String resourceName, String etag, Function<StoredMicroVm, MicroVmRecord> change) {
    MicroVmName name = parse(resourceName);
    String uid = microVms.find(name).orElseThrow(() -> notFound(name)).uid();
    StoredMicroVm resized =
        microVms
            .update(
                uid,
                microVm -> {
                  checkEtag(microVm, etag);
                  checkNotDeleting(microVm);
                  return new Verdict.Put(change.apply(microVm));
                })
            .orElseThrow(() -> notFound(name));
    LOG.infof(
        "resize microvm=%s uid=%s generation=%d",
        name, uid, resized.microVm().getMeta().getGeneration());
    return resized.microVm();
  }

  private MicroVmRecord steered(StoredMicroVm microVm, Steering steering) {
    if (!steering.startsAgain(microVm.microVm())) {
      return Lifecycle.steered(microVm.record(), steering.wish(), time.now());
    }
    checkNotLeaving(microVm);
    if (!placer.reserveAgain(microVm.microVm())) {
      throw Errors.of(
          ErrorReason.NODE_RESOURCES_EXHAUSTED,
          "%s has no room for %s now"
              .formatted(microVm.microVm().getStatus().getNode(), microVm.name()),
          Map.of("name", microVm.name()));
    }
    MicroVmRecord again = Lifecycle.startedAgain(microVm.record(), time.now());
    return Lifecycle.wantsPlacement(again.getMicrovm()) ? pending.decide(again) : again;
  }

  /** Why a microVM is where it is, or nowhere. */
  ExplainPlacementResponse explain(String name) {
    StoredMicroVm microVm = get(name);
    Placer.Reasons reasons = pending.reasons(microVm);
    ExplainPlacementResponse.Builder response =
        ExplainPlacementResponse.newBuilder()
            .setMicrovm(microVm.microVm())
            .setNodes(reasons.refused().nodes())
            .setSuitableNodes(reasons.refused().suitable());
    for (Explanation.Reason reason : reasons.refused().reasons()) {
      response
          .addRefusalsBuilder()
          .setReason(reason.refusal().reason())
          .setNodes(reason.nodes())
          .setMessage(reason.refusal().phrase(reason.nodes()))
          .setExampleNode("nodes/" + reason.example())
          .setRemedy(reason.refusal().help());
    }
    reasons
        .candidates()
        .forEach(node ->
            response
                .addCandidatesBuilder()
                .setNode("nodes/" + node.nodeId())
                .setScore(node.score())
                .setHasContainerImage(reasons.withImage().contains(node.nodeId())));
    return response.build();
  }

  private static void checkNotDeleting(StoredMicroVm microVm) {
    if (Lifecycle.isDeleting(microVm.microVm())) {
      throw Errors.of(
          ErrorReason.STATE_CONFLICT,
          "%s is being deleted".formatted(microVm.name()),
          Map.of("name", microVm.name(), "state", "DELETING"));
    }
  }

  /** Its node has been told to forget it, and may have. */
  private static void checkNotLeaving(StoredMicroVm microVm) {
    if (Lifecycle.isLeaving(microVm.record())) {
      throw Errors.of(
          ErrorReason.STATE_CONFLICT,
          "%s is leaving its node (%s): start it when it has left"
              .formatted(microVm.name(), microVm.record().getEviction().getMessage()),
          Map.of("name", microVm.name(), "state", "STOPPING"));
    }
  }

  private static void checkEtag(StoredMicroVm microVm, String etag) {
    checkEtag(microVm.name(), microVm.microVm().getMeta().getEtag(), etag);
  }

  /**
   * Guards a change against a lost race (AIP-154).
   *
   * @param expected empty: whatever the resource is by now
   */
  static void checkEtag(String name, String actual, String expected) {
    if (!expected.isEmpty() && !expected.equals(actual)) {
      throw Errors.of(
          ErrorReason.ETAG_MISMATCH,
          "%s has etag %s now, not %s".formatted(name, actual, expected),
          Map.of("name", name, "etag", actual));
    }
  }

  private static void checkState(StoredMicroVm microVm, Steering steering) {
    if (!steering.isAllowed(microVm.microVm())) {
      String state = microVm.microVm().getStatus().getState().name();
      throw Errors.of(
          ErrorReason.STATE_CONFLICT,
          "%s is %s; %s is for %s"
              .formatted(
                  microVm.name(),
                  state,
                  steering.name().toLowerCase(Locale.ROOT),
                  Joiner.on(", ").join(steering.allowedStates())),
          Map.of("name", microVm.name(), "state", state));
    }
  }

  private static MicroVmName parse(String name) {
    if (name.isEmpty()) {
      Violations violations = new Violations();
      violations.required("name");
      throw violations.toException();
    }
    return MicroVmName.parse(name)
        .orElseThrow(
            () -> Violations.invalidField("name", "must be projects/{project}/microvms/{id}."));
  }

  private static StatusRuntimeException notFound(MicroVmName name) {
    return Errors.of(
        ErrorReason.MICROVM_NOT_FOUND,
        "%s does not exist".formatted(name),
        Map.of("name", name.toString()));
  }
}
