package dev.vireo.worker.agent.program;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.EndOfData;
import dev.vireo.proto.agent.v1.HostMessage;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A connection to the agent, on which anything can be said, right or wrong. Blocks. */
final class Talk implements Closeable {
  private final SocketChannel channel;
  private final InputStream in;

  private Talk(SocketChannel channel) {
    this.channel = channel;
    this.in = Channels.newInputStream(channel);
  }

  static Talk connect(Path socket) throws IOException {
    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    channel.connect(UnixDomainSocketAddress.of(socket));
    return new Talk(channel);
  }

  /** Sends a message as it must be. */
  void say(HostMessage message) throws IOException {
    sayBytes(frame(message));
  }

  static byte[] frame(HostMessage message) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    message.writeDelimitedTo(out);
    return out.toByteArray();
  }

  /** Sends any bytes. */
  void sayBytes(byte... bytes) throws IOException {
    OutputStream out = Channels.newOutputStream(channel);
    out.write(bytes);
  }

  InputStream input() {
    return in;
  }

  OutputStream output() {
    return Channels.newOutputStream(channel);
  }

  /** To the agent, that is the connection's end. */
  void sayNoMore() throws IOException {
    channel.shutdownOutput();
  }

  /** Sends as much as the agent takes at once, however often it is given; how much that was. */
  long sayUntilItStands(HostMessage message) throws IOException {
    channel.configureBlocking(false);
    ByteBuffer frame = ByteBuffer.wrap(frame(message));
    long said = 0;
    long before;
    do {
      before = said;
      for (int i = 0; i < 100; i++) {
        int written = channel.write(frame);
        said += written;
        if (!frame.hasRemaining()) {
          frame.rewind();
        }
        if (written == 0) {
          pause();
        }
      }
    } while (said > before);
    channel.configureBlocking(true);
    return said;
  }

  private static void pause() throws IOException {
    try {
      Thread.sleep(2);
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  /** The agent's next message. */
  AgentMessage hear() throws IOException {
    AgentMessage message = AgentMessage.parseDelimitedFrom(in);
    if (message == null) {
      throw new EOFException("the agent has ended the connection");
    }
    return message;
  }

  /** All that the agent still says. */
  List<AgentMessage> rest() throws IOException {
    List<AgentMessage> messages = new ArrayList<>();
    for (AgentMessage message = AgentMessage.parseDelimitedFrom(in);
        message != null;
        message = AgentMessage.parseDelimitedFrom(in)) {
      messages.add(message);
    }
    return messages;
  }

  static HostMessage data(String text) {
    return data(ByteString.copyFromUtf8(text));
  }

  static HostMessage data(ByteString bytes) {
    return HostMessage.newBuilder().setData(bytes).build();
  }

  static HostMessage end() {
    return HostMessage.newBuilder().setEnd(EndOfData.getDefaultInstance()).build();
  }

  static HostMessage signal(int number) {
    return HostMessage.newBuilder().setSignal(number).build();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
