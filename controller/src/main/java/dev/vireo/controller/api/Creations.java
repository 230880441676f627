package dev.vireo.controller.api;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import dev.vireo.controller.lifecycle.Lifecycle;
import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.microvm.MicroVms;
import dev.vireo.controller.microvm.MicroVms.Creation;
import dev.vireo.controller.microvm.MicroVms.Verdict;
import dev.vireo.controller.microvm.Selection;
import dev.vireo.controller.microvm.StoredMicroVm;
import dev.vireo.controller.node.Nodes;
import dev.vireo.controller.quota.Quotas;
import dev.vireo.controller.reconcile.PendingMicroVms;
import dev.vireo.controller.store.Store;
import dev.vireo.controller.time.TimeSource;
import dev.vireo.controller.tracing.CreateTraces;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.store.v1.MicroVmRecord;
import dev.vireo.proto.store.v1.RequestRecord;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Gang;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmSpec;
import io.grpc.StatusRuntimeException;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.io.IOException;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jboss.logging.Logger;

/**
 * CreateMicroVm: validates, chooses a node, and makes object, assignment and request id durable in
 * one commit.
 */
final class Creations {
  private static final Logger LOG = Logger.getLogger(Creations.class);

  /**
   * Of a microVM as the client sends it. A create's commit has it twice, in the record and in the
   * answer to its request id, and the record grows: all of that is to fit into a commit.
   */
  static final int MAX_BYTES = 384 << 10;

  /** Of what a record has beside what the client sends, until it is placed. */
  private static final int STATUS_BYTES = 1 << 10;

  static final int MAX_ANNOTATION_BYTES = 256 << 10;

  private final MicroVms microVms;
  private final PendingMicroVms pending;
  private final Quotas quotas;
  private final DefaultKernel defaultKernel;
  private final FleetValidator fleet;
  private final Waiting waiting;
  private final TimeSource time;
  private final Supplier<UUID> uuids;
  private final MeterRegistry meters;
  private final CreateTraces traces;

  Creations(
      MicroVms microVms,
      Nodes nodes,
      PendingMicroVms pending,
      Quotas quotas,
      TimeSource time,
      Supplier<UUID> uuids,
      MeterRegistry meters,
      CreateTraces traces) {
    this.microVms = microVms;
    this.pending = pending;
    this.quotas = quotas;
    this.defaultKernel = new DefaultKernel(nodes);
    this.fleet = new FleetValidator(nodes);
    this.waiting = new Waiting(microVms);
    this.time = time;
    this.uuids = uuids;
    this.meters = meters;
    this.traces = traces;
  }

  /** Blocks until the microVM is durable and, if asked to, has come as far as {@code wait} says. */
  MicroVm create(CreateMicroVmRequest request) {
    long start = System.nanoTime();
    String outcome = "refused";
    try {
      MicroVm answer = validateAndCreate(request);
      outcome = request.getValidateOnly() ? "validated" : "created";
      return answer;
    } finally {
      Timer.builder("vireo.create")
          .description("CreateMicroVm, without what the client asked to wait for")
          .tag("outcome", outcome)
          .tag("wait", request.getWait().name())
          .register(meters)
          .record(System.nanoTime() - start, TimeUnit.NANOSECONDS);
    }
  }

  private MicroVm validateAndCreate(CreateMicroVmRequest asked) {
    validate(asked).throwIfAny();
    ByteString digest = digest(asked);
    CreateMicroVmRequest request = defaultKernel.complete(asked);
    Violations unfit = new Violations();
    fleet.validate(request.getMicrovm().getSpec(), unfit);
    validateGang(request, unfit);
    // The nodes, or its gang, may have changed since this very request was answered. And who
    // creates
    // first and waits then sends it twice, which is not to count twice, be it for a moment.
    if (!unfit.isEmpty() || request.getWait() != Wait.WAIT_UNSPECIFIED) {
      Optional<MicroVm> earlier = earlierRequest(request).flatMap(r -> repeat(request, digest, r));
      if (earlier.isPresent()) {
        return earlier.get();
      }
      unfit.throwIfAny();
    }
    return request.getValidateOnly() ? dryRun(request) : commit(request, digest);
  }

  private Optional<RequestRecord> earlierRequest(CreateMicroVmRequest request) {
    return request.getRequestId().isEmpty() || request.getValidateOnly()
        ? Optional.empty()
        : microVms.request(requestId(request));
  }

  /** A UUID's letters may be of either case (RFC 9562, section 4). */
  private static String requestId(CreateMicroVmRequest request) {
    return request.getRequestId().toLowerCase(Locale.ROOT);
  }

  private static Violations validate(CreateMicroVmRequest request) {
    Violations violations = new Violations();
    validateParent(request.getParent(), violations);
    violations.invalidIf(
        !request.getMicrovmId().isEmpty() && !MicroVmName.isId(request.getMicrovmId()),
        "microvm_id",
        "must match %s.",
        MicroVmName.ID_PATTERN);
    if (!request.getRequestId().isEmpty()) {
      violations.invalidIf(!isUuid(request.getRequestId()), "request_id", "must be a UUID.");
    }
    violations.invalidIf(
        request.getWait() == Wait.UNRECOGNIZED,
        "wait",
        "is none of WAIT_SCHEDULED, WAIT_RUNNING, WAIT_READY.");
    if (!request.hasMicrovm() || !request.getMicrovm().hasSpec()) {
      violations.required("spec");
      return violations;
    }
    Labels.validate(request.getMicrovm().getMeta().getLabelsMap(), "meta.labels", violations);
    violations.invalidIf(
        annotationBytes(request.getMicrovm().getMeta().getAnnotationsMap()) > MAX_ANNOTATION_BYTES,
        "meta.annotations",
        "are more than %d bytes in all.",
        MAX_ANNOTATION_BYTES);
    validateSize(request.getMicrovm(), violations);
    SpecValidator.validate(request.getMicrovm().getSpec(), violations);
    return violations;
  }

  private static void validateParent(String parent, Violations violations) {
    if (parent.isEmpty()) {
      violations.required("parent");
    } else {
      violations.invalidIf(
          MicroVmName.parseParent(parent).isEmpty(),
          "parent",
          "must be projects/{project}, the project matching %s.",
          MicroVmName.ID_PATTERN);
    }
  }

  private static void validateSize(MicroVm microVm, Violations violations) {
    int bytes = microVm.getSerializedSize();
    violations.invalidIf(
        bytes > MAX_BYTES,
        "spec",
        "has %d bytes with all that belongs to the microVM; at most %d. Put what is large into a"
            + " file, a disk or an image.",
        bytes,
        MAX_BYTES);
  }

  /**
   * Those of a gang that have waited for the others have their nodes by one commit. What they grow
   * by until then, and what comes in the same moment, is found then.
   */
  private void validateGang(CreateMicroVmRequest request, Violations violations) {
    if (!request.getMicrovm().getSpec().getPlacement().hasGang()) {
      return;
    }
    Gang gang = request.getMicrovm().getSpec().getPlacement().getGang();
    String others = request.getParent() + "/microvms/";
    long bytes =
        placedBytes(request.getMicrovm())
            + microVms.all().stream()
                .map(StoredMicroVm::microVm)
                .filter(other -> waitsFor(gang, other))
                .filter(other -> other.getMeta().getName().startsWith(others))
                .filter(other -> !other.getMeta().getName().equals(others + request.getMicrovmId()))
                .mapToLong(Creations::placedBytes)
                .sum();
    violations.invalidIf(
        bytes > Store.MAX_COMMIT_BYTES,
        "spec.placement.gang.size",
        "is more than can be placed together: with this one the microVMs of %s that are there have"
            + " %d bytes, %d of status each among them; at most %d. Make the gang or its microVMs"
            + " smaller.",
        gang.getName(),
        bytes,
        STATUS_BYTES,
        Store.MAX_COMMIT_BYTES);
  }

  private static boolean waitsFor(Gang gang, MicroVm microVm) {
    return microVm.getSpec().getPlacement().getGang().getName().equals(gang.getName())
        && Lifecycle.wantsPlacement(microVm)
        && microVm.getStatus().getAttempt() == 0;
  }

  /** Of what a client sends, and its status until it is placed. */
  private static long placedBytes(MicroVm microVm) {
    MicroVm.Builder sent = MicroVm.newBuilder().setSpec(microVm.getSpec());
    sent.getMetaBuilder()
        .putAllLabels(microVm.getMeta().getLabelsMap())
        .putAllAnnotations(microVm.getMeta().getAnnotationsMap());
    return (long) sent.build().getSerializedSize() + STATUS_BYTES;
  }

  private static int annotationBytes(Map<String, String> annotations) {
    return annotations.entrySet().stream()
        .mapToInt(entry -> FieldRules.bytes(entry.getKey()) + FieldRules.bytes(entry.getValue()))
        .sum();
  }

  private static boolean isUuid(String text) {
    try {
      return UUID.fromString(text).toString().equalsIgnoreCase(text);
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  private MicroVm dryRun(CreateMicroVmRequest request) {
    MicroVmName name = name(request);
    if (microVms.find(name).isPresent()) {
      throw alreadyExists(name);
    }
    List<String> exceeded = quotas.exceededBy(name.project(), request.getMicrovm().getSpec());
    if (!exceeded.isEmpty()) {
      throw quotaExceeded(name, exceeded);
    }
    return record(request, name, "", time.now()).getMicrovm();
  }

  private MicroVm commit(CreateMicroVmRequest request, ByteString digest) {
    MicroVmName name = name(request);
    String uid = uuids.get().toString();
    Instant now = time.now();
    List<String> exceeded = takeShare(name, uid, request.getMicrovm().getSpec());
    if (!exceeded.isEmpty()) {
      return beyondQuota(request, digest, name, exceeded);
    }
    traces.begin(uid, name.toString());
    Creation creation;
    try {
      MicroVmRecord placed = pending.decide(record(request, name, uid, now));
      RequestRecord answer =
          RequestRecord.newBuilder()
              .setDigest(digest)
              .setAnswer(placed.getMicrovm())
              .setCreateTime(Timestamps.of(now))
              .build();
      creation = microVms.create(name, placed, requestId(request), answer);
    } finally {
      // After a commit this changes nothing: the record says what was reserved.
      pending.settle(uid);
      quotas.settle(uid);
      traces.settle(uid);
    }
    return switch (creation) {
      case Creation.Created(StoredMicroVm created) -> {
        log(created);
        yield awaited(request, created).orElseGet(() -> commit(request, digest));
      }
      case Creation.Repeated(RequestRecord earlier) ->
          repeat(request, digest, earlier).orElseGet(() -> commit(request, digest));
      case Creation.NameTaken() -> {
        if (request.getMicrovmId().isEmpty()) {
          yield commit(request, digest);
        }
        throw alreadyExists(name);
      }
    };
  }

  /** What is in doubt has its share: nobody is refused for its sake before that is known. */
  private List<String> takeShare(MicroVmName name, String uid, MicroVmSpec spec) {
    List<String> exceeded = quotas.take(name.project(), uid, spec);
    return !exceeded.isEmpty() && microVms.settleDoubts()
        ? quotas.take(name.project(), uid, spec)
        : exceeded;
  }

  /** What was made by this very request is its answer, and counts already. */
  private MicroVm beyondQuota(
      CreateMicroVmRequest request, ByteString digest, MicroVmName name, List<String> exceeded) {
    return earlierRequest(request)
        .flatMap(earlier -> repeat(request, digest, earlier))
        .orElseThrow(
            () -> microVms.isStored(name) ? alreadyExists(name) : quotaExceeded(name, exceeded));
  }

  private static StatusRuntimeException quotaExceeded(MicroVmName name, List<String> exceeded) {
    return Errors.quotaExceeded("projects/" + name.project(), exceeded);
  }

  private MicroVmName name(CreateMicroVmRequest request) {
    String project = MicroVmName.parseParent(request.getParent()).orElseThrow();
    String id =
        request.getMicrovmId().isEmpty()
            ? "vm-" + uuids.get().toString().substring(0, 13)
            : request.getMicrovmId();
    return new MicroVmName(project, id);
  }

  private static MicroVmRecord record(
      CreateMicroVmRequest request, MicroVmName name, String uid, Instant now) {
    MicroVm asked = request.getMicrovm();
    return Lifecycle.created(
        name.toString(),
        uid,
        asked.getSpec(),
        asked.getMeta().getLabelsMap(),
        asked.getMeta().getAnnotationsMap(),
        now);
  }

  /** The first answer again; empty if that was taken back meanwhile, as if it had never been. */
  private Optional<MicroVm> repeat(
      CreateMicroVmRequest request, ByteString digest, RequestRecord earlier) {
    if (!earlier.getDigest().equals(digest)) {
      throw Errors.of(
          ErrorReason.REQUEST_ID_REUSED,
          "request_id %s was used before to create %s, by another request"
              .formatted(request.getRequestId(), earlier.getAnswer().getMeta().getName()),
          Map.of("request_id", request.getRequestId()));
    }
    String uid = earlier.getAnswer().getMeta().getUid();
    Optional<StoredMicroVm> now = microVms.findByUid(uid);
    if (now.isPresent()) {
      return request.getWait() == Wait.WAIT_UNSPECIFIED
          ? Optional.of(earlier.getAnswer())
          : awaited(request, now.get());
    }
    return isTakenBack(request, uid) ? Optional.empty() : Optional.of(earlier.getAnswer());
  }

  /**
   * Waits; a microVM whose spec turns out to be wrong is taken back, so that nothing is left,
   * unless it was used before. Empty if another call of the same request was quicker to do so.
   */
  private Optional<MicroVm> awaited(CreateMicroVmRequest request, StoredMicroVm created) {
    try {
      return Optional.of(waiting.await(created, request.getWait()));
    } catch (StatusRuntimeException e) {
      Optional<ErrorReason> reason = Errors.reasonOf(e);
      if (reason.filter(r -> r.code() == ErrorReason.Code.INVALID_ARGUMENT).isPresent()) {
        takeBack(created.uid(), requestId(request));
      } else if (reason.filter(ErrorReason.MICROVM_NOT_FOUND::equals).isPresent()
          && isTakenBack(request, created.uid())) {
        return Optional.empty();
      }
      throw e;
    }
  }

  /** Whether it has never run, and nobody has asked anything of it since it was created. */
  private static boolean isUnused(StoredMicroVm microVm) {
    return microVm.microVm().getMeta().getGeneration() == 1
        && !Lifecycle.mayHaveRun(microVm.record());
  }

  /** Of a microVM that is gone: whether the request that made it may be made again. */
  private boolean isTakenBack(CreateMicroVmRequest request, String uid) {
    return !request.getRequestId().isEmpty()
        && microVms
            .request(requestId(request))
            .filter(earlier -> earlier.getAnswer().getMeta().getUid().equals(uid))
            .isEmpty();
  }

  private void takeBack(String uid, String requestId) {
    microVms.takeBack(uid, requestId, this::takenBack);
  }

  /** Looks at each that it is shown: it may be started while it is to be taken back. */
  private Verdict takenBack(StoredMicroVm microVm) {
    if (!isUnused(microVm)) {
      return new Verdict.Keep();
    }
    return Lifecycle.nodeId(microVm.microVm()).isEmpty()
        ? new Verdict.Remove()
        : new Verdict.Put(Lifecycle.deleting(microVm.record(), true, time.now()));
  }

  private static StatusRuntimeException alreadyExists(MicroVmName name) {
    return Errors.of(
        ErrorReason.MICROVM_ALREADY_EXISTS,
        "%s exists".formatted(name),
        Map.of("name", name.toString()));
  }

  /** Of what the request asks for; not of how the client waits for it. */
  private static ByteString digest(CreateMicroVmRequest request) {
    CreateMicroVmRequest asked =
        request.toBuilder().clearRequestId().clearWait().clearValidateOnly().build();
    try {
      byte[] bytes = new byte[asked.getSerializedSize()];
      CodedOutputStream out = CodedOutputStream.newInstance(bytes);
      out.useDeterministicSerialization();
      asked.writeTo(out);
      return ByteString.copyFrom(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (IOException | NoSuchAlgorithmException e) {
      throw new IllegalStateException("a byte array takes bytes, and every JDK has SHA-256", e);
    }
  }

  private static void log(StoredMicroVm created) {
    LOG.infof(
        "created microvm=%s uid=%s node=%s attempt=%d",
        created.name(),
        created.uid(),
        Lifecycle.nodeId(created.microVm()).orElse("none"),
        created.microVm().getStatus().getAttempt());
  }

  /** Which microVMs a list or watch of this parent is about. */
  static Selection selection(String parent, String labelSelector) {
    Violations violations = new Violations();
    String all = "projects/" + Selection.ALL_PROJECTS;
    if (!parent.equals(all)) {
      validateParent(parent, violations);
    }
    Map<String, String> labels = Labels.parseSelector(labelSelector, violations);
    violations.throwIfAny();
    return new Selection(
        parent.equals(all) ? Selection.ALL_PROJECTS : MicroVmName.parseParent(parent).orElseThrow(),
        labels);
  }
}
