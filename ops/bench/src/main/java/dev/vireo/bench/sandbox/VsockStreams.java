package dev.vireo.bench.sandbox;

import dev.vireo.bench.Samples;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Vsock;
import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * One stream by vsock between a process of this machine and a bare-metal guest, each way: neither
 * side looks at the bytes.
 */
final class VsockStreams {
  private static final int PORT = 1024;
  private static final int CHUNK = 64 << 10;

  private final MicroVms microVms;
  private final long bytes;
  private int started;

  /**
   * @param bytes of each stream
   */
  VsockStreams(LocalCluster cluster, long bytes) {
    this.microVms = cluster.microVms();
    this.bytes = bytes;
  }

  /** Bytes a second. */
  record Result(Samples toGuest, Samples fromGuest) {}

  Result measure(int rounds) throws IOException {
    List<Double> toGuest = new ArrayList<>();
    List<Double> fromGuest = new ArrayList<>();
    for (int round = 0; round < rounds; round++) {
      toGuest.add(bytes / toGuest());
      fromGuest.add(bytes / fromGuest());
    }
    return new Result(new Samples(toGuest), new Samples(fromGuest));
  }

  /** From the first byte sent until the guest, which has had the last one, ends the stream. */
  private double toGuest() throws IOException {
    String id = start("probe.run=vsock-sink probe.end=halt probe.port=" + PORT);
    try (SocketChannel stream = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      stream.connect(UnixDomainSocketAddress.of(socket(id)));
      connect(stream);
      ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK);
      long begin = System.nanoTime();
      for (long left = bytes; left > 0; left -= chunk.position()) {
        stream.write(chunk.clear());
      }
      stream.shutdownOutput();
      while (stream.read(chunk.clear()) >= 0) {
        // Nothing is expected.
      }
      return (System.nanoTime() - begin) / 1e9;
    } finally {
      microVms.delete(id);
    }
  }

  private static void connect(SocketChannel stream) throws IOException {
    stream.write(StandardCharsets.US_ASCII.encode("CONNECT %d\n".formatted(PORT)));
    ByteBuffer octet = ByteBuffer.allocate(1);
    do {
      if (stream.read(octet.clear()) < 0) {
        throw new EOFException("nobody listens in the guest");
      }
    } while (octet.get(0) != '\n');
  }

  /** From the connection to its end. */
  private double fromGuest() throws IOException {
    String id =
        start(
            "probe.run=vsock-source probe.end=halt probe.port=%d probe.bytes=%d"
                .formatted(PORT, bytes));
    try (SocketChannel stream = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      stream.connect(UnixDomainSocketAddress.of(socket(id)));
      ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK);
      long begin = System.nanoTime();
      connect(stream);
      long received = 0;
      int count = stream.read(chunk);
      while (count >= 0) {
        received += count;
        count = stream.read(chunk.clear());
      }
      if (received != bytes) {
        throw new EOFException("of %d bytes %d have come".formatted(bytes, received));
      }
      return (System.nanoTime() - begin) / 1e9;
    } finally {
      microVms.delete(id);
    }
  }

  private String start(String arguments) {
    String id = "stream-" + ++started;
    microVms.create(
        id,
        ProbeSpec.of(arguments).toBuilder().setVsock(Vsock.getDefaultInstance()).build(),
        Wait.WAIT_READY);
    return id;
  }

  private Path socket(String id) {
    return Path.of(microVms.get(id).getStatus().getVsock().getSocket());
  }
}
