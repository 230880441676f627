package dev.vireo.controller.api;

import dev.vireo.controller.microvm.MicroVmName;
import dev.vireo.controller.quota.Quotas;
import dev.vireo.controller.quota.StoredQuota;
import dev.vireo.proto.v1.GetQuotaRequest;
import dev.vireo.proto.v1.Quota;
import dev.vireo.proto.v1.QuotaServiceGrpc;
import dev.vireo.proto.v1.QuotaSpec;
import dev.vireo.proto.v1.SetQuotaRequest;
import io.grpc.stub.StreamObserver;
import io.quarkus.grpc.GrpcService;
import io.smallrye.common.annotation.RunOnVirtualThread;
import java.util.Optional;
import org.jboss.logging.Logger;

/** {@code vireo.v1.QuotaService}. */
@GrpcService
public class QuotaGrpcService extends QuotaServiceGrpc.QuotaServiceImplBase {
  private static final Logger LOG = Logger.getLogger(QuotaGrpcService.class);
  private static final String SUFFIX = "/quota";

  private final Quotas quotas;

  public QuotaGrpcService(Quotas quotas) {
    this.quotas = quotas;
  }

  @Override
  @RunOnVirtualThread
  public void getQuota(GetQuotaRequest request, StreamObserver<Quota> client) {
    String project = project("name", request.getName());
    client.onNext(quotas.view(quotas.get(project)));
    client.onCompleted();
  }

  @Override
  @RunOnVirtualThread
  public void setQuota(SetQuotaRequest request, StreamObserver<Quota> client) {
    String name = request.getQuota().getMeta().getName();
    String project = project("quota.meta.name", name);
    QuotaSpec limits = request.getQuota().getSpec();
    validate(limits);
    StoredQuota set =
        quotas.set(
            project, limits, quota -> Operations.checkEtag(name, quota.etag(), request.getEtag()));
    LOG.infof("set quota project=%s generation=%d", project, set.quota().getMeta().getGeneration());
    client.onNext(quotas.view(set));
    client.onCompleted();
  }

  /** Numbers are unsigned on the wire; those beyond a long are a mistake. */
  private static void validate(QuotaSpec limits) {
    Violations violations = new Violations();
    violations.invalidIf(limits.getVcpus() < 0, "quota.spec.vcpus", "is beyond reason.");
    violations.invalidIf(limits.getMemoryMib() < 0, "quota.spec.memory_mib", "is beyond reason.");
    violations.throwIfAny();
  }

  private static String project(String field, String name) {
    return Optional.of(name)
        .filter(n -> n.endsWith(SUFFIX))
        .map(n -> n.substring(0, n.length() - SUFFIX.length()))
        .flatMap(MicroVmName::parseParent)
        .orElseThrow(() ->
            Violations.invalidField(
                field,
                "must be projects/{project}/quota, the project matching %s."
                    .formatted(MicroVmName.ID_PATTERN)));
  }
}
