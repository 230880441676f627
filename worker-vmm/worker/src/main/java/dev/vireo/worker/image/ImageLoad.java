package dev.vireo.worker.image;

import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImageCache.Listed;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ContainerImageLoaded;
import dev.vireo.proto.v1.LoadContainerImageRequest;
import dev.vireo.proto.v1.LoadContainerImageResponse;
import dev.vireo.proto.v1.LoadContainerImageStart;
import dev.vireo.proto.v1.LoadProgress;
import dev.vireo.proto.v1.LoadProgress.Phase;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.agent.Tunnel;
import dev.vireo.worker.container.PullProgram;
import dev.vireo.worker.container.PullProgram.Outcome;
import dev.vireo.worker.image.ArchiveDirectory.Archive;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

/**
 * One archive on its way to be an image of this node: it comes into a file of the worker's, as fast
 * as the disk takes it, and a program of its own makes the image of that. The file goes in every
 * case, and the image is there whole or not at all.
 */
final class ImageLoad {
  /** A client that says nothing for so long has gone, whatever its connection says. */
  static final Duration STALLED = Duration.ofMinutes(2);

  private static final Duration TELL_EVERY = Duration.ofSeconds(1);

  private final NodeImages images;
  private final ArchiveDirectory archives;
  private final Semaphore makers;
  private final Tunnel tunnel;
  private final Time time;
  private long toldNanos;
  private volatile long madeBytes;

  /**
   * @param makers a permit for each program that may run at a time
   */
  ImageLoad(
      NodeImages images, ArchiveDirectory archives, Semaphore makers, Tunnel tunnel, Time time) {
    this.images = images;
    this.archives = archives;
    this.makers = makers;
    this.tunnel = tunnel;
    this.time = time;
    this.toldNanos = time.nanos();
  }

  void run(LoadContainerImageStart start)
      throws ImageCallException, Tunnel.GoneException, InterruptedException {
    Optional<ImageName> name = name(start.getImageName());
    try (Archive archive = archives.create(start.getSizeBytes())) {
      receive(archive, start.getSizeBytes());
      tell(Phase.WAITING, 0);
      awaitTurn();
      try {
        archives.requireRoom(images.directory(), archive.bytes());
        send(LoadContainerImageResponse.newBuilder().setLoaded(make(archive, name, start)));
      } finally {
        makers.release();
      }
    }
    tunnel.complete();
  }

  private static Optional<ImageName> name(String given) throws ImageCallException {
    if (given.isEmpty()) {
      return Optional.empty();
    }
    try {
      ImageName name = ImageName.parse(given);
      if (name instanceof ImageName.InRegistry) {
        return Optional.of(name);
      }
    } catch (ImageException e) {
      throw new ImageCallException(
          ErrorReason.FIELD_INVALID, "start.image_name", String.valueOf(e.getMessage()));
    }
    throw new ImageCallException(
        ErrorReason.FIELD_INVALID,
        "start.image_name",
        "%s is the name of Vireo's own image.".formatted(given));
  }

  // ---- the archive

  private void receive(Archive archive, long expectedBytes)
      throws ImageCallException, Tunnel.GoneException, InterruptedException {
    Optional<LoadContainerImageRequest> next = next();
    while (next.isPresent()) {
      archive.write(next.get().getData());
      if (isTimeToTell()) {
        tell(Phase.RECEIVING, archive.bytes());
      }
      next = next();
    }
    if (expectedBytes != 0 && archive.bytes() != expectedBytes) {
      throw invalid(
          "ends after %d bytes, and was to have %d.".formatted(archive.bytes(), expectedBytes));
    }
  }

  private Optional<LoadContainerImageRequest> next()
      throws Tunnel.GoneException, InterruptedException {
    Alarm late = time.after(STALLED, this::stalled);
    try {
      return tunnel.receive().map(TunnelDown::getLoadImage);
    } finally {
      late.cancel();
    }
  }

  /** Whoever waits for more is told that it is over. */
  private void stalled() {
    tunnel.fail(
        new ImageCallException(
                ErrorReason.ARCHIVE_STALLED,
                "",
                "nothing came of the archive for %d s".formatted(STALLED.toSeconds()))
            .toFailure());
  }

  private static ImageCallException invalid(String description) {
    return new ImageCallException(ErrorReason.CONTAINER_IMAGE_INVALID, "data", description);
  }

  // ---- the image

  private void awaitTurn() throws Tunnel.GoneException, InterruptedException {
    while (!makers.tryAcquire(TELL_EVERY.toMillis(), TimeUnit.MILLISECONDS)) {
      tell(Phase.WAITING, 0);
    }
  }

  private ContainerImageLoaded make(
      Archive archive, Optional<ImageName> name, LoadContainerImageStart start)
      throws ImageCallException, Tunnel.GoneException, InterruptedException {
    Set<ImageId> before =
        images.list().stream().map(listed -> listed.image().id()).collect(Collectors.toSet());
    String source = "archive:" + archive.file();
    String wanted = start.getArchiveImage();
    PullProgram.Pull program;
    try {
      program =
          images
              .program()
              .start(
                  wanted.isEmpty() ? source : source + ":" + wanted,
                  name,
                  images.architecture(),
                  bytes -> madeBytes = bytes);
    } catch (IOException e) {
      throw new ImageCallException(
          ErrorReason.CONTAINER_IMAGE_UNAVAILABLE,
          "",
          "the node cannot make images: " + e.getMessage());
    }
    return switch (end(program)) {
      case Outcome.Pulled(ImageId id, String given) -> {
        Listed made =
            images
                .find(id)
                .orElseThrow(() ->
                    new ImageCallException(
                        ErrorReason.CONTAINER_IMAGE_UNAVAILABLE,
                        "",
                        "the image was removed as soon as it was there"));
        yield ContainerImageLoaded.newBuilder()
            .setImage(ImageForms.of(made))
            .setImageName(given)
            .setExisted(before.contains(id))
            .build();
      }
      case Outcome.Refused(ImageException.Reason reason, String message) ->
          throw refused(reason, message.replace(archive.file().toString(), "the archive"));
      case Outcome.Broken(String message) ->
          throw new ImageCallException(
              ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, "", "the node failed at it: " + message);
    };
  }

  /** When the client goes, which a second shows, it is stopped, and waited for: it has the file. */
  private Outcome end(PullProgram.Pull program) throws Tunnel.GoneException, InterruptedException {
    try {
      while (true) {
        try {
          return program.end().get(TELL_EVERY.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
          tell(Phase.MAKING, madeBytes);
        }
      }
    } catch (ExecutionException e) {
      throw new IllegalStateException("a pull's end is no failure", e);
    } finally {
      if (!program.end().isDone()) {
        program.stop();
        var _ = program.end().join();
      }
    }
  }

  private static ImageCallException refused(ImageException.Reason reason, String message) {
    return switch (reason) {
      case DISK_FULL -> new ImageCallException(ErrorReason.NODE_DISK_FULL, "", message);
      case IMAGE_UNKNOWN ->
          new ImageCallException(
              ErrorReason.CONTAINER_IMAGE_INVALID, "start.archive_image", message);
      case NAME_INVALID ->
          new ImageCallException(ErrorReason.CONTAINER_IMAGE_INVALID, "start.image_name", message);
      case IMAGE_INVALID,
          MANIFEST_INVALID,
          DIGEST_MISMATCH,
          LAYER_INVALID,
          ARCHITECTURE_MISSING,
          INPUT_MISSING ->
          invalid(message);
      case HOST_UNSUPPORTED,
          NETWORK_UNAVAILABLE,
          PACKAGE_NOT_FOUND,
          PACKAGE_INVALID,
          TOOL_FAILED,
          REGISTRY_UNAVAILABLE,
          REGISTRY_DENIED,
          IMAGE_IN_USE ->
          new ImageCallException(ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, "", message);
    };
  }

  // ---- what the client is told

  private boolean isTimeToTell() {
    return time.nanos() - toldNanos >= TELL_EVERY.toNanos();
  }

  private void tell(Phase phase, long bytes) throws Tunnel.GoneException, InterruptedException {
    toldNanos = time.nanos();
    send(
        LoadContainerImageResponse.newBuilder()
            .setProgress(LoadProgress.newBuilder().setPhase(phase).setDoneBytes(bytes)));
  }

  private void send(LoadContainerImageResponse.Builder response)
      throws Tunnel.GoneException, InterruptedException {
    tunnel.send(TunnelUp.newBuilder().setLoadImage(response).build());
  }
}
