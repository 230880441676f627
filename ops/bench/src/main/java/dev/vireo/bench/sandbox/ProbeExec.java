package dev.vireo.bench.sandbox;

import dev.vireo.bench.ProcessTime;
import dev.vireo.bench.Samples;
import dev.vireo.bench.cluster.GuestExec;
import dev.vireo.bench.cluster.LocalCluster;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.Patience;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.Vsock;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Round trips of a command in a bare-metal guest on this machine's KVM, from a client through
 * controller, worker and vsock and back: all but Linux, which would start a process.
 */
final class ProbeExec {
  private static final Duration PATIENCE = Patience.ofSeconds(30);

  /** Until the JVMs on the way have compiled what they go through. */
  private static final int WARM_UP = 2_000;

  private static final String GUEST = "agent";
  private static final int AGENT_PORT = 52;

  private final LocalCluster cluster;

  ProbeExec(LocalCluster cluster) {
    this.cluster = cluster;
  }

  /**
   * Milliseconds.
   *
   * @param exec by a client
   * @param controllerAlone of a call that ends at the controller, from the same client
   * @param guestAlone of the same command, said to the guest by the socket of its vsock device: the
   *     VMM and the guest
   * @param cpuMicros of each process on the way, for a command
   */
  record Result(
      Samples exec, Samples controllerAlone, Samples guestAlone, Map<String, Double> cpuMicros) {}

  Result measure(int commands) throws IOException {
    MicroVms microVms = cluster.microVms();
    microVms.create(
        GUEST,
        ProbeSpec.of("probe.run=vsock-agent").toBuilder()
            .setVsock(Vsock.getDefaultInstance())
            .build(),
        Wait.WAIT_READY);
    Path socket = Path.of(microVms.get(GUEST).getStatus().getVsock().getSocket());
    GuestExec guest = new GuestExec(cluster.channel(), microVms.name(GUEST), PATIENCE);
    for (int i = 0; i < WARM_UP; i++) {
      guest.millis("true");
    }
    Map<String, Long> processes =
        Map.of(
            "controller", cluster.controllerPid(),
            "worker", cluster.workerPid(),
            "vmm", microVms.inspect(GUEST).getVmmPid());
    Map<String, Double> before = cpuSeconds(processes);
    List<Double> exec = new ArrayList<>();
    for (int i = 0; i < commands; i++) {
      exec.add(guest.millis("true"));
    }
    Map<String, Double> cpuMicros = cpuSeconds(processes);
    cpuMicros.replaceAll(
        (name, seconds) -> (seconds - before.getOrDefault(name, 0.0)) * 1e6 / commands);
    List<Double> controllerAlone = new ArrayList<>();
    List<Double> guestAlone = new ArrayList<>();
    for (int i = 0; i < commands; i++) {
      long start = System.nanoTime();
      var _ = microVms.get(GUEST);
      long between = System.nanoTime();
      askDirectly(socket);
      controllerAlone.add((between - start) / 1e6);
      guestAlone.add((System.nanoTime() - between) / 1e6);
    }
    microVms.delete(GUEST);
    return new Result(
        new Samples(exec), new Samples(controllerAlone), new Samples(guestAlone), cpuMicros);
  }

  private static Map<String, Double> cpuSeconds(Map<String, Long> processes) throws IOException {
    Map<String, Double> seconds = new TreeMap<>();
    for (Map.Entry<String, Long> process : processes.entrySet()) {
      seconds.put(process.getKey(), ProcessTime.cpuSeconds(process.getValue()));
    }
    return seconds;
  }

  private static void askDirectly(Path socket) throws IOException {
    try (SocketChannel stream = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      stream.connect(UnixDomainSocketAddress.of(socket));
      ByteArrayOutputStream request = new ByteArrayOutputStream();
      request.write("CONNECT %d\n".formatted(AGENT_PORT).getBytes(StandardCharsets.US_ASCII));
      HostMessage.newBuilder()
          .setExec(ExecRequest.newBuilder().addArguments("true"))
          .build()
          .writeDelimitedTo(request);
      stream.write(ByteBuffer.wrap(request.toByteArray()));
      InputStream answer = Channels.newInputStream(stream);
      while (answer.read() != '\n') {
        // It is connected.
      }
      AgentMessage message;
      do {
        message = AgentMessage.parseDelimitedFrom(answer);
      } while (message != null && !message.hasExited());
      if (message == null) {
        throw new EOFException("the guest has ended the conversation");
      }
    }
  }
}
