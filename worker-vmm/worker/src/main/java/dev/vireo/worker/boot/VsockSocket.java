package dev.vireo.worker.boot;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.linux.Fd;
import dev.vireo.linux.StreamSocket;
import dev.vireo.linux.UnixListener;
import dev.vireo.proto.errors.ErrorReason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A microVM's side of its vsock device on this node: processes connect to this socket to reach the
 * guest, and listen on those with {@code _<port>} after its name to be reached by it. It is in the
 * microVM's directory, which only this worker's user may enter, and goes with that.
 */
public record VsockSocket(Path path) {
  private static final String NAME = "vsock";

  /** {@code sun_path} has 108 bytes, the last of which is 0 (unix(7)). */
  private static final int MAX_PATH_BYTES = 107;

  private static final int MAX_SUFFIX_BYTES = "_4294967295".length();

  private static final int BACKLOG = 4096;

  /** That of the microVM whose directory this is. */
  public static VsockSocket in(Path microVmDirectory) {
    return new VsockSocket(microVmDirectory.resolve(NAME));
  }

  /** Refuses a path with which the programs of others could do nothing. */
  public void checkLength() throws RejectedException {
    int bytes = path.toString().getBytes(UTF_8).length;
    int most = MAX_PATH_BYTES - MAX_SUFFIX_BYTES;
    if (bytes > most) {
      throw new RejectedException(
          ErrorReason.SOCKET_PATH_TOO_LONG,
          "spec.vsock",
          "%s has %d bytes, with a port after it at most %d: give the worker a shorter --state-dir"
              .formatted(path, bytes, most));
    }
  }

  /**
   * Listens. Whatever an earlier run left of the socket is replaced.
   *
   * @return non-blocking
   */
  Fd listen() throws IOException {
    Files.deleteIfExists(path);
    try (UnixListener listener = UnixListener.bind(path.toString(), BACKLOG)) {
      listener.fd().setNonBlocking();
      return listener.fd().duplicate();
    }
  }

  /**
   * Connects to the process that serves a port, if that can be done at once.
   *
   * @param port unsigned
   * @throws dev.vireo.linux.LinuxException as {@link StreamSocket#connect}
   */
  public Fd connect(int port) {
    return StreamSocket.connect(path + "_" + Integer.toUnsignedString(port));
  }
}
