package dev.vireo.controller.api;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.controller.testing.ControllerTest;
import dev.vireo.controller.testing.FakeTunnel;
import dev.vireo.controller.testing.FakeWorker;
import dev.vireo.controller.testing.StreamingClient;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.ContainerImageLoaded;
import dev.vireo.proto.v1.ContainerImageServiceGrpc;
import dev.vireo.proto.v1.DeleteContainerImageRequest;
import dev.vireo.proto.v1.DeleteContainerImageResponse;
import dev.vireo.proto.v1.ListContainerImagesRequest;
import dev.vireo.proto.v1.ListContainerImagesResponse;
import dev.vireo.proto.v1.LoadContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageResponse;
import dev.vireo.proto.v1.LoadContainerImageStart;
import dev.vireo.proto.v1.LoadProgress;
import dev.vireo.proto.worker.v1.OpenTunnel;
import dev.vireo.proto.worker.v1.TunnelFailure;
import dev.vireo.proto.worker.v1.TunnelUp;
import io.grpc.Status;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Calls about a node's images, from the client to the worker of the node, and back. */
final class ContainerImagesTest extends ControllerTest {
  private static LoadContainerImageRequest start(String node) {
    return start(LoadContainerImageStart.newBuilder().setNode(node).setImageName("tool"));
  }

  private static LoadContainerImageRequest start(LoadContainerImageStart.Builder start) {
    return LoadContainerImageRequest.newBuilder().setStart(start).build();
  }

  private static LoadContainerImageRequest data(int bytes) {
    return LoadContainerImageRequest.newBuilder()
        .setData(ByteString.copyFrom(new byte[bytes]))
        .build();
  }

  private StreamingClient<LoadContainerImageRequest, LoadContainerImageResponse> load(
      LoadContainerImageRequest first) {
    StreamingClient<LoadContainerImageRequest, LoadContainerImageResponse> client =
        new StreamingClient<>();
    ContainerImageServiceGrpc.newStub(controller.channel()).loadContainerImage(client);
    client.say(first);
    return client;
  }

  private FakeTunnel dial(FakeWorker worker) {
    OpenTunnel opened = worker.next().getOpenTunnel();
    assertEquals("", opened.getUid(), "the node itself");
    return new FakeTunnel(controller.channel(), opened.getTunnelId());
  }

  private static void assertReason(ErrorReason reason, Throwable ended) {
    assertNotNull(ended);
    assertEquals(Optional.of(reason), Errors.reasonOf(ended), ended::toString);
  }

  private double open() {
    return controller.meters.get("vireo.tunnels").tag("kind", "load_image").gauge().value();
  }

  @Test
  void anArchiveGoesToTheNodeAndWhatBecomesOfItComesBack() throws Exception {
    FakeWorker worker = controller.join("a");
    var client = load(start("nodes/a"));
    FakeTunnel tunnel = dial(worker);
    assertEquals(start("nodes/a"), tunnel.next().getLoadImage());
    for (int i = 0; i < 3; i++) {
      client.say(data(64 << 10));
      assertEquals(data(64 << 10), tunnel.next().getLoadImage());
    }
    client.complete();
    assertTrue(tunnel.next().hasEnd());

    LoadContainerImageResponse progress =
        LoadContainerImageResponse.newBuilder()
            .setProgress(LoadProgress.newBuilder().setPhase(LoadProgress.Phase.MAKING))
            .build();
    tunnel.say(TunnelUp.newBuilder().setLoadImage(progress));
    assertEquals(progress, client.next());
    LoadContainerImageResponse loaded =
        LoadContainerImageResponse.newBuilder()
            .setLoaded(ContainerImageLoaded.newBuilder().setExisted(true))
            .build();
    tunnel.say(TunnelUp.newBuilder().setLoadImage(loaded));
    tunnel.complete();
    assertEquals(loaded, client.next());
    assertNull(client.awaitEnd());
    assertEquals(0, open());
  }

  @Test
  void aNodeThatWritesSlowlyHoldsItsClientUp() throws Exception {
    FakeWorker worker = controller.join("a");
    var client = load(start("nodes/a"));
    FakeTunnel tunnel = dial(worker);
    var _ = tunnel.next();

    int sent = 0;
    for (int quiet = 0; sent < 100 && quiet < 30; quiet++) {
      if (client.isReady()) {
        client.say(data(64 << 10));
        sent++;
        quiet = 0;
      } else {
        Thread.sleep(10); // That nothing happens can only be waited for.
      }
    }

    assertTrue(sent < 10, sent + " messages were taken for one who reads none");
    for (int i = 0; i < sent; i++) {
      assertEquals(64 << 10, tunnel.next().getLoadImage().getData().size());
    }
  }

  @Test
  void aClientThatVanishesHalfWayEndsTheWorkersCall() throws Exception {
    FakeWorker worker = controller.join("a");
    var client = load(start("nodes/a"));
    FakeTunnel tunnel = dial(worker);
    var _ = tunnel.next();
    client.say(data(10));
    var _ = tunnel.next();
    client.cancel();

    Throwable ended = tunnel.awaitEnd();
    assertNotNull(ended);
    assertEquals(Status.Code.CANCELLED, Status.fromThrowable(ended).getCode());
    await().until(() -> open() == 0);
  }

  @Test
  void aNodeThatGoesIsSaid() throws Exception {
    FakeWorker worker = controller.join("a");
    var client = load(start("nodes/a"));
    FakeTunnel tunnel = dial(worker);
    var _ = tunnel.next();
    worker.close();
    assertReason(ErrorReason.NODE_UNREACHABLE, client.awaitEnd());

    await()
        .untilAsserted(
            () -> assertReason(ErrorReason.NODE_UNREACHABLE, load(start("nodes/a")).awaitEnd()));
  }

  @Test
  void theNodesReasonReachesTheClient() throws Exception {
    FakeWorker worker = controller.join("a");
    var full = load(start("nodes/a"));
    FakeTunnel tunnel = dial(worker);
    tunnel.fail(
        TunnelFailure.newBuilder()
            .setReason(ErrorReason.NODE_DISK_FULL.name())
            .setMessage("no room"));
    Throwable ended = full.awaitEnd();
    assertReason(ErrorReason.NODE_DISK_FULL, ended);
    assertEquals(Status.Code.RESOURCE_EXHAUSTED, Status.fromThrowable(ended).getCode());

    var broken = load(start("nodes/a"));
    dial(worker)
        .fail(
            TunnelFailure.newBuilder()
                .setReason(ErrorReason.CONTAINER_IMAGE_INVALID.name())
                .setField("data")
                .setMessage("layer 1 is broken"));
    Throwable invalid = broken.awaitEnd();
    assertReason(ErrorReason.CONTAINER_IMAGE_INVALID, invalid);
    assertEquals("data: layer 1 is broken", Status.fromThrowable(invalid).getDescription());
  }

  @Test
  void whatIsWrongWithARequestNoWorkerIsAsked() {
    FakeWorker worker = controller.join("a");
    assertReason(ErrorReason.NODE_NOT_FOUND, load(start("nodes/none")).awaitEnd());
    assertReason(ErrorReason.FIELD_INVALID, load(start("a")).awaitEnd());
    assertReason(ErrorReason.FIELD_REQUIRED, load(data(1)).awaitEnd());
    assertReason(
        ErrorReason.FIELD_INVALID,
        load(start(
                LoadContainerImageStart.newBuilder()
                    .setNode("nodes/a")
                    .setImageName("x".repeat(513))))
            .awaitEnd());
    assertTrue(worker.hasHeardNothing());
  }

  @Test
  void moreThanAMessageMayHaveEndsTheCall() throws Exception {
    FakeWorker worker = controller.join("a");
    var client = load(start("nodes/a"));
    FakeTunnel tunnel = dial(worker);
    var _ = tunnel.next();
    tunnel.ask();
    client.say(data((64 << 10) + 1));
    assertReason(ErrorReason.FIELD_INVALID, client.awaitEnd());
    assertReason(ErrorReason.FIELD_INVALID, tunnel.awaitEnd());
  }

  @Test
  void imagesAreListedAndDeletedByTheNode() throws Exception {
    FakeWorker worker = controller.join("a");
    var client = ContainerImageServiceGrpc.newFutureStub(controller.channel());
    ListContainerImagesRequest list =
        ListContainerImagesRequest.newBuilder().setNode("nodes/a").build();
    CompletableFuture<ListContainerImagesResponse> listed =
        CompletableFuture.supplyAsync(() ->
            ContainerImageServiceGrpc.newBlockingStub(controller.channel())
                .listContainerImages(list));
    FakeTunnel tunnel = dial(worker);
    assertEquals(list, tunnel.next().getListImages());
    assertTrue(tunnel.next().hasEnd());
    ListContainerImagesResponse images =
        ListContainerImagesResponse.newBuilder()
            .addImages(ContainerImage.newBuilder().setId("sha256:1"))
            .build();
    tunnel.say(TunnelUp.newBuilder().setListImages(images));
    tunnel.complete();
    assertEquals(images, listed.get(10, TimeUnit.SECONDS));

    DeleteContainerImageRequest delete =
        DeleteContainerImageRequest.newBuilder().setNode("nodes/a").setImage("tool").build();
    var deleted = client.deleteContainerImage(delete);
    FakeTunnel deletion = dial(worker);
    assertEquals(delete, deletion.next().getDeleteImage());
    DeleteContainerImageResponse gone =
        DeleteContainerImageResponse.newBuilder().setImageRemoved(true).build();
    deletion.say(TunnelUp.newBuilder().setDeleteImage(gone));
    deletion.complete();
    assertEquals(gone, deleted.get(10, TimeUnit.SECONDS));
  }
}
