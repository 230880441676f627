package dev.vireo.bench.cluster;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.CreateMicroVmRequest;
import dev.vireo.proto.v1.DeleteMicroVmRequest;
import dev.vireo.proto.v1.GetMicroVmRequest;
import dev.vireo.proto.v1.InspectMicroVmRequest;
import dev.vireo.proto.v1.Inspection;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceBlockingStub;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.StreamLogsRequest;
import dev.vireo.proto.v1.StreamLogsResponse;
import io.grpc.Channel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/** The microVMs of one project, through the public API: plain grpc-java, blocking. */
public final class MicroVms {
  private static final Duration DEADLINE = Patience.ofSeconds(30);
  private static final int PAGE_SIZE = 1000;

  private final MicroVmServiceBlockingStub stub;
  private final String parent;

  public MicroVms(Channel channel, String project) {
    this.stub = MicroVmServiceGrpc.newBlockingStub(channel);
    this.parent = "projects/" + project;
  }

  /** The stub with a deadline, for whatever has no shorthand here. */
  public MicroVmServiceBlockingStub api() {
    return stub.withDeadlineAfter(DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
  }

  public String parent() {
    return parent;
  }

  public String name(String id) {
    return parent + "/microvms/" + id;
  }

  public MicroVm create(String id, MicroVmSpec spec) {
    return create(id, spec, CreateMicroVmRequest.Wait.WAIT_UNSPECIFIED);
  }

  public MicroVm create(String id, MicroVmSpec spec, CreateMicroVmRequest.Wait wait) {
    return api().createMicroVm(request(id, spec).setWait(wait).build());
  }

  /** A create request with a fresh request id. */
  public CreateMicroVmRequest.Builder request(String id, MicroVmSpec spec) {
    return CreateMicroVmRequest.newBuilder()
        .setParent(parent)
        .setMicrovmId(id)
        .setRequestId(UUID.randomUUID().toString())
        .setMicrovm(MicroVm.newBuilder().setSpec(spec));
  }

  public MicroVm get(String id) {
    return api().getMicroVm(GetMicroVmRequest.newBuilder().setName(name(id)).build());
  }

  public List<MicroVm> list() {
    List<MicroVm> all = new ArrayList<>();
    String token = "";
    do {
      ListMicroVmsResponse page =
          api()
              .listMicroVms(
                  ListMicroVmsRequest.newBuilder()
                      .setParent(parent)
                      .setPageSize(PAGE_SIZE)
                      .setPageToken(token)
                      .build());
      all.addAll(page.getMicrovmsList());
      token = page.getNextPageToken();
    } while (!token.isEmpty());
    return all;
  }

  public Inspection inspect(String id) {
    return api()
        .inspectMicroVm(InspectMicroVmRequest.newBuilder().setName(name(id)).build())
        .getInspection();
  }

  /** Deletes by force: the guest is not asked. It is gone from its node a moment later. */
  public void delete(String id) {
    var _ =
        api()
            .deleteMicroVm(
                DeleteMicroVmRequest.newBuilder()
                    .setName(name(id))
                    .setForce(true)
                    .setAllowMissing(true)
                    .build());
  }

  /** The console from its first byte, followed until the text so far satisfies the condition. */
  public String followLogs(String id, Predicate<String> enough) {
    StreamLogsRequest request =
        StreamLogsRequest.newBuilder().setName(name(id)).setFollow(true).build();
    ByteString seen = ByteString.EMPTY;
    try (var call = io.grpc.Context.current().withCancellation()) {
      io.grpc.Context previous = call.attach();
      try {
        Iterator<StreamLogsResponse> chunks = api().streamLogs(request);
        while (chunks.hasNext()) {
          seen = seen.concat(chunks.next().getData());
          String text = seen.toString(StandardCharsets.ISO_8859_1);
          if (enough.test(text)) {
            break;
          }
        }
      } finally {
        call.detach(previous);
      }
    }
    return seen.toString(StandardCharsets.ISO_8859_1);
  }
}
