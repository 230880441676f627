package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.image.ImageNames;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.ContainerImage;
import dev.vireo.proto.v1.ContainerImageLoaded;
import dev.vireo.proto.v1.ListContainerImagesRequest;
import dev.vireo.proto.v1.LoadContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageResponse;
import dev.vireo.proto.v1.LoadContainerImageStart;
import dev.vireo.proto.v1.LoadProgress;
import dev.vireo.proto.v1.Node;
import dev.vireo.proto.v1.NodeStatus;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** An archive on its way to nodes: a call for each, a few at a time, each as fast as its node. */
final class ImageLoads {
  private static final int AT_A_TIME = 4;
  private static final int DATA_BYTES = 64 << 10;

  private final Api api;
  private final ImageArchive archive;
  private final String name;
  private final LoadProgressLine progress;

  /**
   * What became of it on one node: one of the two.
   *
   * @param loaded with what the node says of it
   */
  record Outcome(
      String node, @Nullable ContainerImageLoaded loaded, @Nullable RuntimeException failure) {}

  /**
   * @param name for the image; empty: the archive's own
   */
  ImageLoads(Api api, ImageArchive archive, String name, LoadProgressLine progress) {
    this.api = api;
    this.archive = archive;
    this.name = name;
    this.progress = progress;
  }

  /** The nodes that can run containers of it, by their resource names. */
  static List<Node> suitable(List<Node> nodes, Map<Architecture, String> ids) {
    return nodes.stream()
        .filter(node -> node.getStatus().getHealth() == NodeStatus.Health.READY)
        .filter(node -> node.getStatus().getCapabilities().getRunsLinuxGuests())
        .filter(node -> ids.containsKey(node.getStatus().getCapabilities().getArchitecture()))
        .toList();
  }

  /** Loads it where it is not, and says for each node what became of it, in their order. */
  List<Outcome> run(List<String> nodes) {
    Semaphore turns = new Semaphore(AT_A_TIME);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<CompletableFuture<Outcome>> all = new ArrayList<>();
      for (String node : nodes) {
        all.add(
            CompletableFuture.supplyAsync(
                () -> {
                  turns.acquireUninterruptibly();
                  try {
                    return outcome(node);
                  } finally {
                    turns.release();
                  }
                },
                threads));
      }
      return all.stream().map(CompletableFuture::join).toList();
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException bug ? bug : e;
    } finally {
      progress.end();
    }
  }

  private Outcome outcome(String node) {
    try {
      Optional<ContainerImage> there = find(node);
      return new Outcome(node, there.isPresent() ? existing(there.get()) : load(node), null);
    } catch (StatusRuntimeException | CommandException e) {
      return new Outcome(node, null, e);
    } finally {
      progress.done(node);
    }
  }

  /** The image, if the node has it by this name. */
  private Optional<ContainerImage> find(String node) {
    ListContainerImagesRequest request =
        ListContainerImagesRequest.newBuilder().setNode(node).build();
    return api.images().listContainerImages(request).getImagesList().stream()
        .filter(image -> archive.ids().containsValue(image.getId()))
        .filter(image -> image.getNamesList().contains(ImageNames.inRegistry(name)))
        .findFirst();
  }

  private ContainerImageLoaded existing(ContainerImage image) {
    return ContainerImageLoaded.newBuilder()
        .setImage(image)
        .setImageName(ImageNames.inRegistry(name))
        .setExisted(true)
        .build();
  }

  private ContainerImageLoaded load(String node) {
    AtomicReference<@Nullable IOException> unread = new AtomicReference<>();
    DuplexCall<LoadContainerImageRequest, LoadContainerImageResponse> call =
        new DuplexCall<>(responses -> api.imageCalls().loadContainerImage(responses));
    Thread sender =
        Thread.ofVirtual().name("archive-" + node).start(() -> send(node, call, unread));
    try {
      return answer(node, call);
    } catch (StatusRuntimeException e) {
      IOException why = unread.get();
      throw why == null
          ? e
          : new CommandException(
              ExitCode.FAILED, "cannot read %s: %s".formatted(archive.file(), why), "");
    } finally {
      call.close();
      join(sender);
    }
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void send(
      String node,
      DuplexCall<LoadContainerImageRequest, LoadContainerImageResponse> call,
      AtomicReference<@Nullable IOException> unread) {
    LoadContainerImageStart start =
        LoadContainerImageStart.newBuilder()
            .setNode(node)
            .setImageName(name)
            .setArchiveImage(archive.wanted())
            .setSizeBytes(archive.bytes())
            .build();
    long sent = 0;
    try (InputStream content = Files.newInputStream(archive.file())) {
      boolean goes = call.send(LoadContainerImageRequest.newBuilder().setStart(start).build());
      byte[] data = content.readNBytes(DATA_BYTES);
      while (goes && data.length > 0) {
        goes =
            call.send(
                LoadContainerImageRequest.newBuilder().setData(ByteString.copyFrom(data)).build());
        sent += data.length;
        progress.sent(node, sent);
        data = content.readNBytes(DATA_BYTES);
      }
      call.halfClose();
    } catch (IOException e) {
      unread.set(e);
      call.close();
    }
  }

  private ContainerImageLoaded answer(
      String node, DuplexCall<LoadContainerImageRequest, LoadContainerImageResponse> call) {
    for (Optional<LoadContainerImageResponse> next = call.next();
        next.isPresent();
        next = call.next()) {
      switch (next.get().getResponseCase()) {
        case PROGRESS -> {
          LoadProgress told = next.get().getProgress();
          if (told.getPhase() != LoadProgress.Phase.RECEIVING) {
            progress.told(node, told);
          }
        }
        case LOADED -> {
          return next.get().getLoaded();
        }
        case RESPONSE_NOT_SET -> {} // Of a newer server.
      }
    }
    throw new CommandException(
        ExitCode.FAILED, "the call ended, and not with what became of the image", "");
  }
}
