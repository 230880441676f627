package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.NOT_RUNNING;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Runs commands in an outer machine that is up, through the shell that its init serves on a serial
 * port, which QEMU offers as a unix socket. Line by line: a token, the seconds that the command may
 * take and the command in base64 go in; its output, an end of line, the token and the status come
 * out.
 */
final class ShellClient {
  /** As shells say of what SIGKILL has ended. */
  static final int KILLED = 128 + 9;

  private final Path socket;

  /**
   * @param stateDirectory of the machine
   */
  ShellClient(Path stateDirectory) {
    this.socket = stateDirectory.resolve(OuterMachine.SHELL_SOCKET);
  }

  /**
   * What a command said and how it ended.
   *
   * @param output standard output and error
   */
  record Result(int status, String output) {}

  /**
   * Runs a shell command, when those before it have ended.
   *
   * @param limit from its start on; then it is killed, and its status is {@value #KILLED}
   */
  Result run(String command, Duration limit) throws IOException, EmulatedNodeException {
    String token = UUID.randomUUID().toString();
    try (SocketChannel channel = connect()) {
      String line =
          "%s %d %s\n"
              .formatted(
                  token,
                  limit.toSeconds(),
                  Base64.getEncoder().encodeToString(command.getBytes(UTF_8)));
      ByteBuffer request = ByteBuffer.wrap(line.getBytes(US_ASCII));
      while (request.hasRemaining()) {
        channel.write(request);
      }
      return answer(channel, Pattern.compile("\n" + token + " (\\d+)\n"));
    }
  }

  private SocketChannel connect() throws EmulatedNodeException {
    try {
      return SocketChannel.open(UnixDomainSocketAddress.of(socket));
    } catch (IOException e) {
      throw new EmulatedNodeException(
          NOT_RUNNING, "no emulated machine answers at %s: %s".formatted(socket, e.getMessage()));
    }
  }

  private static Result answer(SocketChannel channel, Pattern end)
      throws IOException, EmulatedNodeException {
    ByteArrayOutputStream received = new ByteArrayOutputStream();
    ByteBuffer buffer = ByteBuffer.allocate(4096);
    while (channel.read(buffer.clear()) >= 0) {
      received.write(buffer.array(), 0, buffer.position());
      // Byte for character, so that positions in the text are those in the bytes.
      Matcher matcher = end.matcher(received.toString(ISO_8859_1));
      if (matcher.find()) {
        byte[] output =
            received.toString(ISO_8859_1).substring(0, matcher.start()).getBytes(ISO_8859_1);
        return new Result(Integer.parseInt(matcher.group(1)), new String(output, UTF_8));
      }
    }
    throw new EmulatedNodeException(
        NOT_RUNNING, "the emulated machine ended before the command did");
  }
}
