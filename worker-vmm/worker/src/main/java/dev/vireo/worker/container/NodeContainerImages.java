package dev.vireo.worker.container;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.ImagePull;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * The container images in this node's cache, and those that a {@link PullProgram} can bring there.
 * Thread-safe.
 */
public final class NodeContainerImages implements ContainerImages {
  private static final System.Logger LOG = System.getLogger("container");
  private static final String FIELD = "spec.container.image";

  /** Nobody has set memory aside for them. */
  private static final int MOST_PULLS_AT_ONCE = 2;

  private final ContainerImageCache cache;
  private final SharedPulls pulls;

  /**
   * @param cache that the program fills
   * @param architecture of this node's guests
   * @param time stays the caller's
   */
  public NodeContainerImages(
      ContainerImageCache cache, Architecture architecture, PullProgram program, Time time) {
    this.cache = cache;
    this.pulls = new SharedPulls(program, architecture, MOST_PULLS_AT_ONCE, time);
  }

  @Override
  public CompletableFuture<ContainerImage> obtain(String reference, ImagePull pull) {
    try {
      boolean mayPull = pull != ImagePull.IMAGE_PULL_NEVER && !isId(reference);
      Optional<ContainerImage> here = find(reference, mayPull);
      if (here.isPresent() && (pull != ImagePull.IMAGE_PULL_ALWAYS || isId(reference))) {
        touch(here.get());
        return CompletableFuture.completedFuture(here.get());
      }
      if (!mayPull) {
        return CompletableFuture.failedFuture(missing(reference));
      }
      return pull(reference);
    } catch (RejectedException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  private static boolean isId(String reference) {
    return ImageId.isDigest(reference);
  }

  private static RejectedException missing(String reference) {
    return new RejectedException(
        ErrorReason.CONTAINER_IMAGE_NOT_FOUND,
        FIELD,
        "this node does not have \"%s\"".formatted(reference));
  }

  /** Of one that is broken a pull makes another. */
  private Optional<ContainerImage> find(String reference, boolean mayPull)
      throws RejectedException {
    try {
      return isId(reference)
          ? cache.find(ImageId.parse(reference))
          : cache.find(ImageName.parse(reference));
    } catch (ImageException e) {
      if (mayPull && e.reason() == ImageException.Reason.IMAGE_INVALID && !e.mayPass()) {
        return Optional.empty();
      }
      throw rejected(reference, e.reason(), String.valueOf(e.getMessage()));
    } catch (IOException e) {
      throw new RejectedException(
          ErrorReason.CONTAINER_IMAGE_UNAVAILABLE, FIELD, "the image cache cannot be read: " + e);
    }
  }

  private CompletableFuture<ContainerImage> pull(String reference) throws RejectedException {
    SharedPulls.Waiter waiter = pulls.join(name(reference), reference);
    CompletableFuture<ContainerImage> image =
        waiter
            .end()
            .thenApply(outcome -> {
              try {
                return pulled(reference, outcome);
              } catch (RejectedException e) {
                throw new CompletionException(e);
              }
            });
    var _ =
        image.whenComplete((_, _) -> {
          if (image.isCancelled()) {
            waiter.leave();
          }
        });
    return image;
  }

  private static ImageName name(String reference) throws RejectedException {
    try {
      return ImageName.parse(reference);
    } catch (ImageException e) {
      throw rejected(reference, e.reason(), String.valueOf(e.getMessage()));
    }
  }

  private ContainerImage pulled(String reference, PullProgram.Outcome outcome)
      throws RejectedException {
    return switch (outcome) {
      case PullProgram.Outcome.Pulled(ImageId id, String _) -> {
        try {
          yield cache.find(id).orElseThrow(() -> missing(reference));
        } catch (ImageException e) {
          throw rejected(reference, e.reason(), String.valueOf(e.getMessage()));
        }
      }
      case PullProgram.Outcome.Refused(ImageException.Reason reason, String message) ->
          throw rejected(reference, reason, message);
      case PullProgram.Outcome.Broken(String message) ->
          throw new RejectedException(
              ErrorReason.CONTAINER_IMAGE_UNAVAILABLE,
              FIELD,
              "\"%s\" cannot be pulled: %s".formatted(reference, message));
    };
  }

  private static RejectedException rejected(
      String reference, ImageException.Reason reason, String message) {
    return new RejectedException(
        errorReason(reason), FIELD, "image \"%s\": %s".formatted(reference, message));
  }

  private static ErrorReason errorReason(ImageException.Reason reason) {
    return switch (reason) {
      case IMAGE_UNKNOWN -> ErrorReason.CONTAINER_IMAGE_NOT_FOUND;
      case NAME_INVALID,
          IMAGE_INVALID,
          MANIFEST_INVALID,
          DIGEST_MISMATCH,
          LAYER_INVALID,
          ARCHITECTURE_MISSING,
          INPUT_MISSING ->
          ErrorReason.CONTAINER_IMAGE_INVALID;
      case HOST_UNSUPPORTED,
          NETWORK_UNAVAILABLE,
          PACKAGE_NOT_FOUND,
          PACKAGE_INVALID,
          TOOL_FAILED,
          REGISTRY_UNAVAILABLE,
          REGISTRY_DENIED,
          IMAGE_IN_USE,
          DISK_FULL ->
          ErrorReason.CONTAINER_IMAGE_UNAVAILABLE;
    };
  }

  /** For {@code prune} to know that it is used. A cache that nobody may write is not pruned. */
  private void touch(ContainerImage image) {
    try {
      cache.use(image.id()).close();
    } catch (IOException | ImageException e) {
      LOG.log(Level.DEBUG, "{0}: its last use is not noted: {1}", image.id(), e);
    }
  }
}
