package dev.vireo.cli;

import dev.vireo.proto.v1.ContainerImageServiceGrpc;
import dev.vireo.proto.v1.ContainerImageServiceGrpc.ContainerImageServiceBlockingStub;
import dev.vireo.proto.v1.ContainerImageServiceGrpc.ContainerImageServiceStub;
import dev.vireo.proto.v1.EventServiceGrpc;
import dev.vireo.proto.v1.EventServiceGrpc.EventServiceBlockingStub;
import dev.vireo.proto.v1.ListMicroVmsRequest;
import dev.vireo.proto.v1.ListMicroVmsResponse;
import dev.vireo.proto.v1.ListNodesRequest;
import dev.vireo.proto.v1.ListNodesResponse;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.MicroVmServiceGrpc;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceBlockingStub;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceFutureStub;
import dev.vireo.proto.v1.MicroVmServiceGrpc.MicroVmServiceStub;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeServiceGrpc;
import dev.vireo.proto.v1.NodeServiceGrpc.NodeServiceBlockingStub;
import dev.vireo.proto.v1.QuotaServiceGrpc;
import dev.vireo.proto.v1.QuotaServiceGrpc.QuotaServiceBlockingStub;
import io.grpc.Channel;
import io.grpc.ManagedChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A connection to one controller, seen from one project. */
public final class Api implements AutoCloseable {
  /** For calls that wait for nothing but the controller itself. */
  public static final Duration CALL_TIMEOUT = Duration.ofSeconds(15);

  private static final Duration NODE_CALL_TIMEOUT = Duration.ofSeconds(60);
  private static final int PAGE_SIZE = 500;

  private final ServerAddress address;
  private final String project;
  private final ManagedChannel channel;

  /** What calls are made on. */
  private final Channel calls;

  public Api(ServerAddress address, String project, ManagedChannel channel) {
    this(address, project, channel, channel);
  }

  /**
   * @param channel closed with this
   * @param calls the same, with what goes with each call
   */
  Api(ServerAddress address, String project, ManagedChannel channel, Channel calls) {
    this.address = address;
    this.project = project;
    this.channel = channel;
    this.calls = calls;
  }

  public ServerAddress address() {
    return address;
  }

  /** For one call that answers within {@link #CALL_TIMEOUT}. */
  public MicroVmServiceBlockingStub microVms() {
    return microVms(CALL_TIMEOUT);
  }

  /** For one call that answers within {@code timeout}. */
  public MicroVmServiceBlockingStub microVms(Duration timeout) {
    return microVmStreams().withDeadlineAfter(timeout);
  }

  /** For a call that ends when it ends: a watch, a console. */
  public MicroVmServiceBlockingStub microVmStreams() {
    return MicroVmServiceGrpc.newBlockingStub(calls);
  }

  /** For a call that streams its requests. */
  MicroVmServiceStub microVmCalls() {
    return MicroVmServiceGrpc.newStub(calls);
  }

  /** For a call whose answer is awaited elsewhere, within {@code timeout}. */
  public MicroVmServiceFutureStub microVmFutures(Duration timeout) {
    return MicroVmServiceGrpc.newFutureStub(calls).withDeadlineAfter(timeout);
  }

  public NodeServiceBlockingStub nodes() {
    return nodes(CALL_TIMEOUT);
  }

  private NodeServiceBlockingStub nodes(Duration timeout) {
    return NodeServiceGrpc.newBlockingStub(calls).withDeadlineAfter(timeout);
  }

  EventServiceBlockingStub events() {
    return EventServiceGrpc.newBlockingStub(calls).withDeadlineAfter(CALL_TIMEOUT);
  }

  QuotaServiceBlockingStub quotas() {
    return QuotaServiceGrpc.newBlockingStub(calls).withDeadlineAfter(CALL_TIMEOUT);
  }

  /** For one call to a node about its container images, which may be a slow one. */
  ContainerImageServiceBlockingStub images() {
    return ContainerImageServiceGrpc.newBlockingStub(calls).withDeadlineAfter(NODE_CALL_TIMEOUT);
  }

  /** For a call that streams an image. */
  ContainerImageServiceStub imageCalls() {
    return ContainerImageServiceGrpc.newStub(calls);
  }

  /** {@code projects/{project}}. */
  public String parent() {
    return "projects/" + project;
  }

  /** The resource name that {@code idOrName} stands for. */
  public String microVmName(String idOrName) {
    return idOrName.contains("/") ? idOrName : parent() + "/microvms/" + idOrName;
  }

  /**
   * Every microVM of the project that matches, all pages, with the version a watch goes on from.
   */
  public ListMicroVmsResponse listMicroVms(String labelSelector) {
    ListMicroVmsResponse.Builder all = ListMicroVmsResponse.newBuilder();
    ListMicroVmsRequest.Builder request =
        ListMicroVmsRequest.newBuilder()
            .setParent(parent())
            .setPageSize(PAGE_SIZE)
            .setLabelSelector(labelSelector);
    ListMicroVmsResponse page;
    do {
      page = microVms().listMicroVms(request.build());
      if (all.getResourceVersion() == 0) {
        // The first page's: a watch from there repeats what later pages saw, and misses nothing.
        all.setResourceVersion(page.getResourceVersion());
      }
      all.addAllMicrovms(page.getMicrovmsList());
      request.setPageToken(page.getNextPageToken());
    } while (!page.getNextPageToken().isEmpty());
    return all.build();
  }

  /** Every node, all pages. */
  public List<Node> listNodes() {
    return listNodes(CALL_TIMEOUT);
  }

  /** Every node, all pages, each of which answers within {@code timeout}. */
  public List<Node> listNodes(Duration timeout) {
    List<Node> all = new ArrayList<>();
    ListNodesRequest.Builder request = ListNodesRequest.newBuilder().setPageSize(PAGE_SIZE);
    ListNodesResponse page;
    do {
      page = nodes(timeout).listNodes(request.build());
      all.addAll(page.getNodesList());
      request.setPageToken(page.getNextPageToken());
    } while (!page.getNextPageToken().isEmpty());
    return all;
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }

  /** {@code web-1} of {@code projects/default/microvms/web-1}. */
  public static String id(MicroVm microVm) {
    return id(microVm.getMeta().getName());
  }

  /** The last part of a resource name. */
  public static String id(String name) {
    return name.substring(name.lastIndexOf('/') + 1);
  }
}
