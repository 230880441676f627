package dev.vireo.worker.agent;

import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import java.io.EOFException;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * One conversation's connection to a guest's agent ({@code vireo/agent/v1/agent.proto}), by the
 * socket of the microVM's vsock device. Blocks; one thread may read, and one send; anyone may
 * close.
 */
final class AgentConnection implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger("agent");

  /** Of the agent, in the guest. */
  static final int PORT = 52;

  /** Of a message, in either direction. */
  static final int MAX_MESSAGE_BYTES = 256 << 10;

  /** Of data in a message. */
  static final int MAX_DATA_BYTES = 64 << 10;

  private static final Duration AGAIN_AFTER = Duration.ofMillis(100);
  private static final int MAX_VARINT_BYTES = 5;
  private static final int BUFFER_BYTES = 8 << 10;

  /** "OK 4294967295\n" is the longest. */
  private static final int MAX_GREETING_BYTES = 16;

  private final Time time;
  private final CompletableFuture<Void> closed = new CompletableFuture<>();
  private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER_BYTES).flip();
  private @Nullable SocketChannel channel;

  AgentConnection(Time time) {
    this.time = time;
  }

  /**
   * Connects. A guest that boots has no agent yet, and its connections are refused: they are tried
   * again as long as there is patience.
   */
  void open(Path socket, Duration patience) throws AgentException {
    long end = time.nanos() + patience.toNanos();
    String failure;
    do {
      try {
        connect(socket, Duration.ofNanos(end - time.nanos()));
        return;
      } catch (IOException e) {
        LOG.log(Level.DEBUG, "{0}: {1}", socket, e);
        failure = e instanceof EOFException ? "nobody listens on its vsock port" : e.toString();
      }
      if (end - time.nanos() > 0) {
        pause(AGAIN_AFTER);
      }
    } while (!closed.isDone() && end - time.nanos() > 0);
    throw new AgentException(
        ErrorReason.AGENT_UNAVAILABLE,
        "",
        "the guest's agent did not answer within %d s: %s"
            .formatted(patience.toSeconds(), failure));
  }

  private void pause(Duration wait) {
    CompletableFuture<Void> over = new CompletableFuture<>();
    Alarm alarm = time.after(wait, () -> over.complete(null));
    CompletableFuture.anyOf(over, closed).join();
    alarm.cancel();
  }

  private void connect(Path socket, Duration patience) throws IOException {
    SocketChannel attempt = SocketChannel.open(StandardProtocolFamily.UNIX);
    Alarm late = time.after(patience, () -> close(attempt));
    try {
      take(attempt);
      attempt.connect(UnixDomainSocketAddress.of(socket));
      writeAll(attempt, StandardCharsets.US_ASCII.encode("CONNECT %d\n".formatted(PORT)));
      readGreeting(attempt);
    } catch (IOException e) {
      attempt.close();
      throw e;
    } finally {
      late.cancel();
    }
  }

  /** To be closed by whoever closes this. */
  private synchronized void take(SocketChannel attempt) throws IOException {
    if (closed.isDone()) {
      throw new IOException("closed");
    }
    channel = attempt;
  }

  private static void readGreeting(SocketChannel from) throws IOException {
    ByteBuffer octet = ByteBuffer.allocate(1);
    StringBuilder line = new StringBuilder();
    while (line.length() < MAX_GREETING_BYTES) {
      if (from.read(octet.clear()) < 0) {
        throw new EOFException("closed before it was connected");
      }
      if (octet.get(0) == '\n') {
        break;
      }
      line.append((char) octet.get(0));
    }
    if (!line.toString().startsWith("OK ")) {
      throw new IOException("its VMM said \"" + line + '"');
    }
  }

  /** The agent's next message, once it is there. */
  AgentMessage read() throws AgentException {
    byte[] body;
    try {
      int length = readLength();
      if (length < 0 || length > MAX_MESSAGE_BYTES) {
        throw AgentException.broken(
            "sent a message of %s bytes".formatted(Integer.toUnsignedString(length)));
      }
      body = readBody(length);
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "an agent has gone: {0}", e);
      throw AgentException.broken("ended the connection");
    }
    try {
      return AgentMessage.parseFrom(body);
    } catch (InvalidProtocolBufferException e) {
      throw AgentException.broken("sent what is no message");
    }
  }

  private int readLength() throws IOException, AgentException {
    long length = 0;
    for (int i = 0; i < MAX_VARINT_BYTES; i++) {
      if (!buffer.hasRemaining()) {
        buffer.clear();
        fill(buffer);
        buffer.flip();
      }
      byte octet = buffer.get();
      length |= (long) (octet & 0x7f) << (7 * i);
      if (octet >= 0) {
        return (int) Math.min(length, 0xffff_ffffL);
      }
    }
    throw AgentException.broken("sent a length of more than five bytes");
  }

  private byte[] readBody(int length) throws IOException {
    ByteBuffer body = ByteBuffer.allocate(length);
    while (body.hasRemaining() && buffer.hasRemaining()) {
      body.put(buffer.get());
    }
    while (body.hasRemaining()) {
      fill(body);
    }
    return body.array();
  }

  private void fill(ByteBuffer into) throws IOException {
    if (connected().read(into) < 0) {
      throw new EOFException();
    }
  }

  /**
   * Sends, once the agent takes more.
   *
   * @throws IOException if the agent has gone, which whoever reads is told too
   */
  void send(HostMessage message) throws IOException {
    int length = message.getSerializedSize();
    ByteBuffer frame =
        ByteBuffer.allocate(CodedOutputStream.computeUInt32SizeNoTag(length) + length);
    CodedOutputStream out = CodedOutputStream.newInstance(frame);
    out.writeUInt32NoTag(length);
    message.writeTo(out);
    out.flush();
    writeAll(connected(), frame.flip());
  }

  private static void writeAll(SocketChannel to, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      to.write(bytes);
    }
  }

  private synchronized SocketChannel connected() {
    if (channel == null) {
      throw new IllegalStateException("not connected");
    }
    return channel;
  }

  /** Whoever is in here is thrown out; the agent ends what it has begun. */
  @Override
  public void close() {
    SocketChannel open;
    synchronized (this) {
      closed.complete(null);
      open = channel;
    }
    if (open != null) {
      close(open);
    }
  }

  private static void close(SocketChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "cannot close a connection to an agent: {0}", e);
    }
  }
}
