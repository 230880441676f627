package dev.vireo.worker.boot;

import dev.vireo.linux.Fd;
import dev.vireo.linux.StreamSocket;
import java.io.IOException;
import java.nio.file.Path;

/**
 * A microVM's side of its vsock device on this node: processes connect to this socket to reach the
 * guest, and listen on those with {@code _<port>} after its name to be reached by it. It is in the
 * microVM's directory, which only this worker's user may enter, and goes with that.
 */
public record VsockSocket(Path path) {
  private static final String NAME = "vsock";

  private static final int MAX_SUFFIX_BYTES = "_4294967295".length();

  private static final int BACKLOG = 4096;

  /** That of the microVM whose directory this is. */
  public static VsockSocket in(Path microVmDirectory) {
    return new VsockSocket(microVmDirectory.resolve(NAME));
  }

  /** Refuses a path with which the programs of others could do nothing. */
  public void checkLength() throws RejectedException {
    new SocketFile(path).checkLength("spec.vsock", MAX_SUFFIX_BYTES);
  }

  /**
   * Listens. Whatever an earlier run left of the socket is replaced.
   *
   * @return non-blocking
   */
  Fd listen() throws IOException {
    return new SocketFile(path).listen(BACKLOG);
  }

  /**
   * Where the process listens that serves a port.
   *
   * @param port unsigned
   */
  public Path ofPort(int port) {
    return Path.of(path + "_" + Integer.toUnsignedString(port));
  }

  /**
   * Connects to the process that serves a port, if that can be done at once.
   *
   * @param port unsigned
   * @throws dev.vireo.linux.LinuxException as {@link StreamSocket#connect}
   */
  public Fd connect(int port) {
    return StreamSocket.connect(ofPort(port).toString());
  }
}
