package dev.vireo.cli;

import com.google.protobuf.ByteString;
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
import io.grpc.stub.StreamObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** What nodes have of images, and believe of archives. */
final class FakeImages extends ContainerImageServiceGrpc.ContainerImageServiceImplBase {
  /** What a load of each node ends with, if not well. */
  final Map<String, RuntimeException> failures = new ConcurrentHashMap<>();

  /** How each load has begun. */
  final Map<String, LoadContainerImageStart> starts = new ConcurrentHashMap<>();

  /** What has come with it. */
  final Map<String, ByteString> archives = new ConcurrentHashMap<>();

  private final Map<String, List<ContainerImage>> byNode = new TreeMap<>();

  /** What the nodes make of archives. */
  volatile String nextId = "sha256:" + "e".repeat(64);

  LoadContainerImageStart start(String node) {
    return Objects.requireNonNull(starts.get(node), node);
  }

  ByteString archive(String node) {
    return Objects.requireNonNull(archives.get(node), node);
  }

  synchronized void put(String node, String id, String... names) {
    byNode
        .computeIfAbsent(node, _ -> new ArrayList<>())
        .add(ContainerImage.newBuilder().setId(id).addAllNames(List.of(names)).build());
  }

  @Override
  public StreamObserver<LoadContainerImageRequest> loadContainerImage(
      StreamObserver<LoadContainerImageResponse> client) {
    return new StreamObserver<>() {
      private LoadContainerImageStart start = LoadContainerImageStart.getDefaultInstance();

      @Override
      public void onNext(LoadContainerImageRequest request) {
        if (request.hasStart()) {
          start = request.getStart();
          starts.put(start.getNode(), start);
          RuntimeException failure = failures.get(start.getNode());
          if (failure != null) {
            client.onError(failure);
          }
        } else {
          archives.merge(start.getNode(), request.getData(), ByteString::concat);
        }
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {
        if (!failures.containsKey(start.getNode())) {
          put(start.getNode(), nextId, start.getImageName());
          client.onNext(
              LoadContainerImageResponse.newBuilder()
                  .setLoaded(
                      ContainerImageLoaded.newBuilder()
                          .setImageName(start.getImageName())
                          .setImage(
                              ContainerImage.newBuilder().setId(nextId).setRootBytes(3 << 20)))
                  .build());
          client.onCompleted();
        }
      }
    };
  }

  @Override
  public synchronized void listContainerImages(
      ListContainerImagesRequest request, StreamObserver<ListContainerImagesResponse> client) {
    client.onNext(
        ListContainerImagesResponse.newBuilder()
            .addAllImages(byNode.getOrDefault(request.getNode(), List.of()))
            .build());
    client.onCompleted();
  }

  @Override
  public synchronized void deleteContainerImage(
      DeleteContainerImageRequest request, StreamObserver<DeleteContainerImageResponse> client) {
    List<ContainerImage> images = byNode.getOrDefault(request.getNode(), List.of());
    if (images.removeIf(image -> image.getNamesList().contains(request.getImage()))) {
      client.onNext(DeleteContainerImageResponse.newBuilder().setImageRemoved(true).build());
      client.onCompleted();
    } else {
      client.onError(Errors.of(ErrorReason.NODE_IMAGE_NOT_FOUND, "there is no such image"));
    }
  }
}
