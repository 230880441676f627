package dev.vireo.bench;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;

/** Round trips of 64 bytes from a process of the host to the probe's echo over vsock. */
final class VsockEcho {
  private static final int PORT = 1024;
  private static final int MESSAGE = 64;

  private final VireoMicrovm vireo;
  private final DevicesPlan plan;
  private final Consumer<String> progress;

  VsockEcho(VireoMicrovm vireo, DevicesPlan plan, Consumer<String> progress) {
    this.vireo = vireo;
    this.plan = plan;
    this.progress = progress;
  }

  /**
   * @param rate round trips a second
   * @param cpuMicros of the VMM's process, for one
   */
  record Result(Samples rate, double cpuMicros) {}

  Result measure() throws IOException {
    List<Double> rates = new ArrayList<>();
    List<Double> cpuMicros = new ArrayList<>();
    for (int round = 1; round <= plan.rounds(); round++) {
      progress.accept("vsock round trips, round " + round + " of " + plan.rounds() + " …");
      VireoMicrovm.Guest guest =
          vireo.start(
              GuestSetup.of("probe.run=vsock-echo probe.end=halt probe.port=" + PORT)
                  .with(Set.of(GuestSetup.Device.VSOCK)));
      try (SocketChannel stream = SocketChannel.open(StandardProtocolFamily.UNIX)) {
        connect(stream, vireo.vsockSocket(guest));
        double cpuBefore = ProcessTime.cpuSeconds(guest.vmmPid());
        long start = System.nanoTime();
        int trips = roundTrips(stream, start + plan.time().toNanos());
        double seconds = (System.nanoTime() - start) / 1e9;
        rates.add(trips / seconds);
        cpuMicros.add((ProcessTime.cpuSeconds(guest.vmmPid()) - cpuBefore) * 1e6 / trips);
      } finally {
        vireo.delete(guest);
        vireo.awaitGone();
      }
    }
    return new Result(new Samples(rates), new Samples(cpuMicros).median());
  }

  private static void connect(SocketChannel stream, java.nio.file.Path socket) throws IOException {
    stream.connect(UnixDomainSocketAddress.of(socket));
    stream.write(ByteBuffer.wrap(("CONNECT " + PORT + "\n").getBytes(StandardCharsets.US_ASCII)));
    StringBuilder answer = new StringBuilder();
    ByteBuffer next = ByteBuffer.allocate(1);
    while (answer.indexOf("\n") < 0) {
      if (stream.read(next.clear()) < 0) {
        throw new IOException("nobody listens in the guest; " + answer);
      }
      answer.append((char) next.get(0));
    }
  }

  private static int roundTrips(SocketChannel stream, long deadline) throws IOException {
    ByteBuffer message = ByteBuffer.allocateDirect(MESSAGE);
    int trips = 0;
    while (System.nanoTime() < deadline) {
      stream.write(message.clear());
      message.clear();
      while (message.hasRemaining()) {
        if (stream.read(message) < 0) {
          throw new IOException("the guest has ended the stream");
        }
      }
      trips++;
    }
    return trips;
  }
}
