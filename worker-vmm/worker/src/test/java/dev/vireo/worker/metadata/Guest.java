package dev.vireo.worker.metadata;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * A guest's side of a connection to its metadata service: sends what it likes, reads to the end.
 */
final class Guest implements AutoCloseable {
  /** What came back. */
  record Answer(int status, Map<String, String> headers, String body) {
    String header(String name) {
      return headers.getOrDefault(name.toLowerCase(Locale.ROOT), "");
    }
  }

  private final SocketChannel channel;

  Guest(Path socket) throws IOException {
    this.channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    channel.connect(UnixDomainSocketAddress.of(socket));
  }

  /** One request with these headers, and the answer. */
  static Answer ask(Path socket, String method, String path, String... headers) throws IOException {
    try (Guest guest = new Guest(socket)) {
      guest.send(request(method, path, headers));
      return guest.answer();
    }
  }

  static String request(String method, String path, String... headers) {
    StringBuilder request =
        new StringBuilder(method + " " + path + " HTTP/1.1\r\nHost: 169.254.169.254\r\n");
    for (String header : headers) {
      request.append(header).append("\r\n");
    }
    return request.append("\r\n").toString();
  }

  void send(String bytes) throws IOException {
    ByteBuffer left = ISO_8859_1.encode(bytes);
    while (left.hasRemaining()) {
      channel.write(left);
    }
  }

  /** All that comes, once the service has ended the connection; empty if it says nothing. */
  String rest() throws IOException {
    StringBuilder all = new StringBuilder();
    ByteBuffer some = ByteBuffer.allocate(8 << 10);
    try {
      while (channel.read(some.clear()) >= 0) {
        all.append(ISO_8859_1.decode(some.flip()));
      }
    } catch (SocketException reset) {
      // It ended the connection without having read all that was sent.
    }
    return all.toString();
  }

  Answer answer() throws IOException {
    String all = rest();
    int end = all.indexOf("\r\n\r\n");
    if (end < 0) {
      throw new IOException("no answer: \"" + all + '"');
    }
    String[] lines = all.substring(0, end).split("\r\n", -1);
    Map<String, String> headers = new TreeMap<>();
    for (int i = 1; i < lines.length; i++) {
      String[] header = lines[i].split(": ", 2);
      headers.put(header[0].toLowerCase(Locale.ROOT), header[1]);
    }
    int status = Integer.parseInt(lines[0].split(" ", 3)[1]);
    return new Answer(status, headers, all.substring(end + 4));
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
