package dev.vireo.vmm.machine;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.StreamSocket;
import dev.vireo.linux.UnixListener;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.virtio.vsock.VsockDevice;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Streams between the probe guest on a real KVM and processes of this host. */
@Tag("kvm")
final class VsockProbeTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();

  @TempDir private Path directory;

  private final ExecutorService threads = Executors.newCachedThreadPool();

  @AfterEach
  void close() {
    threads.shutdownNow();
  }

  /** A machine whose guest reaches {@code host_<port>} in the directory. */
  private TestMachine machine(Fd kernel, String arguments) {
    UnixListener listener = UnixListener.bind(directory.resolve("vsock").toString(), 128);
    listener.fd().setNonBlocking();
    CompletableFuture<VsockDevice> made = new CompletableFuture<>();
    VsockDevice device =
        new VsockDevice(
            "vsock",
            3,
            listener.fd(),
            (key, port) -> {
              // As a worker, which answers on a thread of its own.
              threads.execute(() -> {
                String path = directory.resolve("host_" + port).toString();
                made.join().dialed(key, StreamSocket.connect(path));
              });
              return true;
            });
    made.complete(device);
    return TestMachine.with()
        .memoryMib(64)
        .commandLine(arguments)
        .readyMarker("listening=")
        .devices(device)
        .build(kernel)
        .start();
  }

  private static void assertPassed(TestMachine machine) {
    assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
    assertTrue(machine.console().contains("probe: passed"), machine::console);
  }

  private static byte[] read(SocketChannel channel, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining() && channel.read(buffer) >= 0) {}
    return Arrays.copyOf(buffer.array(), buffer.position());
  }

  private static void write(SocketChannel channel, byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      int ignored = channel.write(buffer);
    }
  }

  @Test
  void processesOfTheHostReachTheGuest() throws IOException {
    int connections = 200;
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            machine(
                kernel, "probe.run=vsock-echo probe.port=52 probe.connections=" + connections)) {
      machine.awaitReady();
      List<SocketChannel> channels = new ArrayList<>();
      for (int i = 0; i < connections; i++) {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(directory.resolve("vsock")));
        write(channel, "CONNECT 52\n".getBytes(US_ASCII));
        channels.add(channel);
      }
      for (int i = 0; i < connections; i++) {
        byte[] text = "hello %04d".formatted(i).repeat(500).getBytes(US_ASCII);
        SocketChannel channel = channels.get(i);
        assertEquals("OK ", new String(read(channel, 3), US_ASCII));
        while (read(channel, 1)[0] != '\n') {}
        write(channel, text);
        assertArrayEquals(text, read(channel, text.length));
        channel.close();
      }
      assertPassed(machine);
    }
  }

  @Test
  void theGuestReachesProcessesOfTheHost() throws IOException {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        ServerSocketChannel server = listen(1024)) {
      threads.execute(() -> serve(server, this::echo));
      try (TestMachine machine =
          machine(kernel, "probe.run=vsock-verify probe.connections=500 probe.bytes=20000")) {
        assertPassed(machine);
        assertTrue(machine.console().contains("bytes_received=10000000"), machine::console);
      }
    }
  }

  @Test
  void aGuestWaitsForAProcessThatDoesNotReadAndGoesOnWhenItDoes() throws IOException {
    int bytes = 2 << 20;
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        ServerSocketChannel server = listen(80);
        TestMachine machine =
            machine(kernel, "probe.run=vsock-send probe.port=80 probe.bytes=" + bytes)) {
      try (SocketChannel channel = server.accept()) {
        await()
            .atMost(Patience.ofSeconds(10))
            .until(() -> machine.console().contains("stalled_at="));
        assertEquals(bytes, read(channel, bytes + 1).length);
      }
      assertPassed(machine);
    }
  }

  @Test
  void aGuestThatBreaksTheRulesHurtsNobodyButItself() throws IOException {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        ServerSocketChannel server = listen(1024)) {
      threads.execute(() -> serve(server, this::echo));
      try (TestMachine machine = machine(kernel, "probe.run=vsock-hostile")) {
        assertPassed(machine);
        Map<String, Long> counters = machine.machine().transports().getFirst().inspect().counters();
        assertEquals(3, counters.get("errors_descriptors"), counters::toString);
        assertEquals(3, counters.get("errors_malformed"), counters::toString);
        assertEquals(2, counters.get("errors_cid"), counters::toString);
        assertEquals(1, counters.get("errors_type"), counters::toString);
        assertEquals(2, counters.get("errors_no_connection"), counters::toString);
        assertEquals(1, counters.get("errors_credit"), counters::toString);
        assertEquals(2, counters.get("errors_operation"), counters::toString);
      }
    }
  }

  @Test
  void aMessageComesBackManyTimes() throws IOException {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        ServerSocketChannel server = listen(1024)) {
      threads.execute(() -> serve(server, this::echo));
      try (TestMachine machine = machine(kernel, "probe.run=vsock-ping probe.ops=2000")) {
        assertPassed(machine);
      }
    }
  }

  private ServerSocketChannel listen(int port) throws IOException {
    ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(directory.resolve("host_" + port)), 4096);
    return server;
  }

  private interface Peer {
    void talk(SocketChannel channel) throws IOException;
  }

  private void serve(ServerSocketChannel server, Peer peer) {
    try {
      while (true) {
        SocketChannel channel = server.accept();
        threads.execute(() -> {
          try (channel) {
            peer.talk(channel);
          } catch (IOException e) {
            // The guest or the test has ended.
          }
        });
      }
    } catch (IOException e) {
      // The test has ended.
    }
  }

  private void echo(SocketChannel channel) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(4096);
    while (channel.read(buffer) >= 0) {
      buffer.flip();
      while (buffer.hasRemaining()) {
        int ignored = channel.write(buffer);
      }
      buffer.clear();
    }
  }
}
