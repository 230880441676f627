package dev.vireo.worker.microvm;

import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.worker.v1.Assignment;
import dev.vireo.worker.boot.VsockSocket;
import dev.vireo.worker.metadata.MetadataServers;
import dev.vireo.worker.metadata.MetadataService;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A microVM's metadata service, if its spec wants one: open from before its guest runs until that
 * has ended. All of it runs in the microVM's mailbox.
 */
final class GuestMetadata {
  private static final System.Logger LOG = System.getLogger("microvm");

  private final Launcher launcher;
  private final Path socket;
  private MetadataService service = MetadataService.NONE;

  GuestMetadata(Launcher launcher, VsockSocket vsock) {
    this.launcher = launcher;
    this.socket = vsock.ofPort(MetadataServers.VSOCK_PORT);
  }

  /** For a run that is about to begin. */
  void open(Assignment assignment, Optional<NetworkStatus> network) throws IOException {
    close();
    if (assignment.getSpec().hasMetadata()) {
      service = launcher.serveMetadata(assignment, network, socket);
    }
  }

  /** For a guest that runs already, and goes on whatever becomes of this. */
  void openAgain(Assignment assignment, Optional<NetworkStatus> network) {
    try {
      open(assignment, network);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0} has no metadata: {1}", assignment.getName(), e.toString());
    }
  }

  void close() {
    service.close();
    service = MetadataService.NONE;
  }
}
