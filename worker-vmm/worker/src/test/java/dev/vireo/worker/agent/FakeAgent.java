package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.HostMessage;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * The vsock socket of a microVM, with an agent behind it that says what a test tells it to, well
 * formed or not.
 */
final class FakeAgent implements AutoCloseable {
  private final ServerSocketChannel server;

  FakeAgent(Path socket) throws IOException {
    server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(socket));
  }

  /** Waits for a connection, which is not answered yet. */
  Connection accept() throws IOException {
    return new Connection(server.accept());
  }

  /** Waits for a connection and takes it, as a VMM does once the guest has. */
  Connection answer() throws IOException {
    Connection connection = accept();
    connection.greet("OK 1073741824\n");
    return connection;
  }

  @Override
  public void close() throws IOException {
    server.close();
  }

  /** One conversation, by its agent. */
  static final class Connection implements AutoCloseable {
    private final SocketChannel channel;
    final String command;

    Connection(SocketChannel channel) throws IOException {
      this.channel = channel;
      StringBuilder line = new StringBuilder();
      for (int octet = in().read(); octet != '\n'; octet = in().read()) {
        if (octet < 0) {
          throw new EOFException();
        }
        line.append((char) octet);
      }
      this.command = line.toString();
    }

    void greet(String line) throws IOException {
      sayRaw(line.getBytes(StandardCharsets.US_ASCII));
    }

    private InputStream in() {
      return new InputStream() {
        @Override
        public int read() throws IOException {
          byte[] octet = new byte[1];
          return read(octet, 0, 1) < 0 ? -1 : octet[0] & 0xff;
        }

        @Override
        public int read(byte[] bytes, int from, int length) throws IOException {
          try {
            return channel.read(ByteBuffer.wrap(bytes, from, length));
          } catch (SocketException reset) {
            return -1; // The host has closed it, and something that was said was unread.
          }
        }
      };
    }

    /** The host's next message; null once the host has closed the connection. */
    @Nullable HostMessage hear() throws IOException {
      return HostMessage.parseDelimitedFrom(in());
    }

    void say(AgentMessage.Builder message) throws IOException {
      message
          .build()
          .writeDelimitedTo(
              new OutputStream() {
                @Override
                public void write(int octet) throws IOException {
                  sayRaw(new byte[] {(byte) octet});
                }

                @Override
                public void write(byte[] bytes, int from, int length) throws IOException {
                  send(ByteBuffer.wrap(bytes, from, length));
                }
              });
    }

    void sayRaw(byte... bytes) throws IOException {
      send(ByteBuffer.wrap(bytes));
    }

    private void send(ByteBuffer bytes) throws IOException {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    }

    @Override
    public void close() throws IOException {
      channel.close();
    }
  }
}
