package dev.vireo.worker.image;

import dev.vireo.images.container.ContainerImageCache.Listed;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.DeleteContainerImageResponse;
import dev.vireo.proto.v1.ListContainerImagesResponse;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.agent.Tunnel;
import dev.vireo.worker.time.Time;
import java.lang.System.Logger.Level;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Semaphore;

/** Clients' calls about this node's container images, as many as there may be. Thread-safe. */
public final class ImageCalls {
  private static final System.Logger LOG = System.getLogger("image");

  /** Each may hold an archive, and what the transport has room for. */
  static final int MOST = 8;

  /** The program has up to 512 MiB of memory, and the work is a CPU's. */
  private static final int MAKERS = 1;

  private final NodeImages images;
  private final ArchiveDirectory archives;
  private final Time time;
  private final Semaphore makers = new Semaphore(MAKERS, true);
  private final Set<Tunnel> open = new HashSet<>();

  /**
   * @param archives where those are that come
   */
  public ImageCalls(NodeImages images, ArchiveDirectory archives, Time time) {
    this.images = images;
    this.archives = archives;
    this.time = time;
  }

  /** Serves a tunnel until its end. Returns at once. */
  public void serve(Tunnel tunnel) {
    Thread.ofVirtual().name("image-call").start(() -> run(tunnel));
  }

  /** Ends all of them: their session is gone. */
  public void endAll() {
    List<Tunnel> all;
    synchronized (this) {
      all = List.copyOf(open);
    }
    all.forEach(Tunnel::cancel);
  }

  private void run(Tunnel tunnel) {
    try {
      enter(tunnel);
      try {
        converse(tunnel);
      } finally {
        leave(tunnel);
      }
    } catch (ImageCallException e) {
      LOG.log(Level.INFO, "{0}: {1}", e.reason(), e.getMessage());
      tunnel.fail(e.toFailure());
    } catch (Tunnel.GoneException e) {
      LOG.log(Level.DEBUG, "a client has gone");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      tunnel.cancel();
    } catch (RuntimeException e) {
      LOG.log(Level.ERROR, "a call about images failed", e);
      tunnel.cancel();
    }
  }

  private synchronized void enter(Tunnel tunnel) throws ImageCallException {
    if (open.size() >= MOST) {
      throw new ImageCallException(
          ErrorReason.TUNNELS_EXHAUSTED,
          "",
          "%d calls about images are under way on the node, which is the most".formatted(MOST));
    }
    open.add(tunnel);
  }

  private synchronized void leave(Tunnel tunnel) {
    open.remove(tunnel);
  }

  private void converse(Tunnel tunnel)
      throws ImageCallException, Tunnel.GoneException, InterruptedException {
    TunnelDown first = tunnel.receive().orElse(TunnelDown.getDefaultInstance());
    switch (first.getMessageCase()) {
      case LOAD_IMAGE ->
          new ImageLoad(images, archives, makers, tunnel, time)
              .run(first.getLoadImage().getStart());
      case LIST_IMAGES -> answer(tunnel, TunnelUp.newBuilder().setListImages(list()));
      case DELETE_IMAGE -> {
        boolean removed = images.remove(first.getDeleteImage().getImage());
        answer(
            tunnel,
            TunnelUp.newBuilder()
                .setDeleteImage(
                    DeleteContainerImageResponse.newBuilder().setImageRemoved(removed)));
      }
      case EXEC, COPY_IN, COPY_OUT, PORT_FORWARD, INVOKE, ATTACH, END, MESSAGE_NOT_SET ->
          throw new ImageCallException(
              ErrorReason.INTERNAL,
              "",
              "the node itself has no such call: " + first.getMessageCase());
    }
  }

  private ListContainerImagesResponse list() throws ImageCallException {
    ListContainerImagesResponse.Builder response = ListContainerImagesResponse.newBuilder();
    for (Listed listed : images.list()) {
      response.addImages(ImageForms.of(listed));
    }
    return response.build();
  }

  private static void answer(Tunnel tunnel, TunnelUp.Builder answer)
      throws Tunnel.GoneException, InterruptedException {
    tunnel.send(answer.build());
    tunnel.complete();
  }
}
