package dev.vireo.worker.boot;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.linux.Fd;
import dev.vireo.linux.UnixListener;
import dev.vireo.proto.errors.ErrorReason;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A unix stream socket of a microVM, on which processes of this node connect. It is in the
 * microVM's directory, which only this worker's user may enter, and goes with that.
 */
record SocketFile(Path path) {
  /** {@code sun_path} has 108 bytes, the last of which is 0 (unix(7)). */
  private static final int MAX_PATH_BYTES = 107;

  /**
   * Refuses a path with which the programs of others could do nothing.
   *
   * @param field of the spec that wants it
   * @param suffixBytes what may come after it, in names that others make of it
   */
  void checkLength(String field, int suffixBytes) throws RejectedException {
    int bytes = path.toString().getBytes(UTF_8).length;
    int most = MAX_PATH_BYTES - suffixBytes;
    if (bytes > most) {
      throw new RejectedException(
          ErrorReason.SOCKET_PATH_TOO_LONG,
          field,
          "%s has %d bytes, of which a socket's name may have %d: give the worker a shorter"
                  .formatted(path, bytes, most)
              + " --state-dir");
    }
  }

  /**
   * Listens. Whatever an earlier run left of the socket is replaced.
   *
   * @return non-blocking
   */
  Fd listen(int backlog) throws IOException {
    Files.deleteIfExists(path);
    try (UnixListener listener = UnixListener.bind(path.toString(), backlog)) {
      listener.fd().setNonBlocking();
      return listener.fd().duplicate();
    }
  }
}
