package dev.vireo.worker.microvm;

import dev.vireo.images.container.ContainerImage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.v1.Container;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.boot.BootFiles;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.container.Supervision;
import dev.vireo.worker.log.OutputLog;
import dev.vireo.worker.metadata.MetadataService;
import dev.vireo.worker.tracing.LaunchTrace;
import dev.vireo.worker.vmm.Vmm;
import dev.vireo.worker.vmm.VmmListener;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/** Gives a microVM a VMM. The seam between deciding what should happen and making it happen. */
public interface Launcher {
  /**
   * Finds or gets the image of a spec's container. Fails with a {@link RejectedException}; one that
   * is cancelled stops.
   */
  CompletableFuture<ContainerImage> obtainImage(Container container);

  /**
   * Checks a spec and opens what it names, without side effects.
   *
   * @param containerRoot the root file system of its container, if it has one
   */
  BootFiles open(MicroVmSpec spec, Optional<Path> containerRoot) throws RejectedException;

  /**
   * Has a guest's agent run a container's process, from now on until the guest has ended.
   *
   * @param vsock the microVM's socket
   * @param container says when it is ready
   * @param log gets what it prints
   */
  Supervision supervise(
      Path vsock,
      ExecRequest process,
      Container container,
      OutputLog log,
      Supervision.Listener listener);

  /**
   * Serves the guest's metadata, from now on until that is closed.
   *
   * @param network what the node has given it, if it has a routed one
   * @param socket where its VMM finds the service
   * @throws IOException if the socket cannot be made
   */
  MetadataService serveMetadata(Assignment assignment, Optional<NetworkStatus> network, Path socket)
      throws IOException;

  /**
   * Takes a VMM, writes down whom it is for, and sends it its orders.
   *
   * @param files closed when this is done
   * @param directory of the microVM; exists
   * @param trace is told how far it has come
   * @param listener asked for with the VMM before that is given its orders; hears its events
   * @return the VMM's answer, which may be a refusal. Fails with an IOException or a {@link
   *     dev.vireo.worker.vmm.VmmGoneException}; if the listener was asked for by then, the VMM's
   *     end will be told there
   */
  CompletableFuture<VmmResponse> launch(
      Assignment assignment,
      BootFiles files,
      Path directory,
      LaunchTrace trace,
      Function<Vmm, VmmListener> listener);
}
