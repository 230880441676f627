package dev.vireo.vmm.machine;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.Fd;
import dev.vireo.linux.MonotonicClock;
import dev.vireo.linux.UnixListener;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.virtio.console.ConsoleDevice;
import dev.vireo.vmm.virtio.console.ConsoleSize;
import dev.vireo.vmm.virtio.console.PortSetup;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Consoles and pipes between the probe guest on a real KVM and processes of this host. */
@Tag("kvm")
final class ConsoleProbeTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();

  @TempDir private Path directory;

  private ConsoleDevice device() {
    return new ConsoleDevice(
        "console",
        List.of(
            new PortSetup("hvc0", true, new ConsoleSize(80, 25), listen("hvc0")),
            new PortSetup("pipe", false, ConsoleSize.UNKNOWN, listen("pipe"))),
        RateLimiter.UNLIMITED,
        RateLimiter.UNLIMITED,
        MonotonicClock.INSTANCE);
  }

  private Fd listen(String name) {
    UnixListener listener = UnixListener.bind(directory.resolve(name).toString(), 16);
    listener.fd().setNonBlocking();
    return listener.fd();
  }

  private static TestMachine machine(ConsoleDevice device, Fd kernel, String arguments) {
    return TestMachine.with()
        .memoryMib(64)
        .commandLine(arguments)
        .readyMarker("listening=")
        .devices(device)
        .build(kernel)
        .start();
  }

  private SocketChannel connect(String name) throws IOException {
    SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    channel.connect(UnixDomainSocketAddress.of(directory.resolve(name)));
    return channel;
  }

  private static void assertPassed(TestMachine machine) {
    assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
    assertTrue(machine.console().contains("probe: passed"), machine::console);
  }

  private static byte[] pattern(int length) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) ((i * 31) >> 3);
    }
    return bytes;
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

  /** Bytes there and back, by both ports at once, a size that changes, and who comes and goes. */
  @Test
  void aGuestTalksByItsPortsAndHearsOfSizesAndClients() throws IOException {
    byte[] all = pattern(200_000);
    ConsoleDevice device = device();
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            machine(
                device, kernel, "probe.run=console-echo probe.ops=2 probe.bytes=" + all.length)) {
      machine.awaitReady();
      try (SocketChannel console = connect("hvc0");
          SocketChannel pipe = connect("pipe")) {
        for (int at = 0; at < all.length; at += 20_000) {
          byte[] piece = Arrays.copyOfRange(all, at, at + 20_000);
          write(console, piece);
          write(pipe, piece);
          assertArrayEquals(piece, read(pipe, piece.length));
          assertArrayEquals(piece, read(console, piece.length));
        }
        assertTrue(machine.console().contains("port.1.client=1"), machine::console);
      }
      await()
          .atMost(Patience.ofSeconds(10))
          .until(() -> machine.console().contains("port.1.client=0"));
      device.resize(0, new ConsoleSize(132, 43));
      assertPassed(machine);
      for (String line :
          List.of(
              "size=80x25",
              "ports=2",
              "port.0.console=1",
              "port.0.name=hvc0",
              "port.1.name=pipe",
              "port.0.size=80x25",
              "port.0.size=132x43")) {
        assertTrue(machine.console().contains(line), () -> line + " in " + machine.console());
      }
    }
  }

  @Test
  void aGuestWaitsForAClientThatDoesNotReadAndLosesNothing() throws IOException {
    byte[] all = pattern(3 << 20);
    ConsoleDevice device = device();
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            machine(device, kernel, "probe.run=console-send probe.bytes=" + all.length);
        SocketChannel pipe = connect("pipe")) {
      await()
          .atMost(Patience.ofSeconds(10))
          .until(() -> device.counters().getOrDefault("stalls_of_host", 0L) > 0);
      assertArrayEquals(all, read(pipe, all.length));
      assertPassed(machine);
    }
  }

  @Test
  void aConsoleWithoutAClientHoldsNobodyUpAndKeepsItsEnd() throws IOException {
    ConsoleDevice device = device();
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            machine(
                device,
                kernel,
                "probe.run=console-send probe.port=0 probe.bytes=1000000 probe.end=halt")) {
      await()
          .atMost(Patience.ofSeconds(10))
          .until(() -> machine.console().contains("probe: passed"));
      assertEquals(1_000_000 - 65_536, device.counters().get("bytes_dropped"));
      try (SocketChannel console = connect("hvc0")) {
        byte[] all = pattern(1_000_000);
        assertArrayEquals(
            Arrays.copyOfRange(all, 1_000_000 - 65_536, 1_000_000), read(console, 65_536));
      }
    }
  }

  @Test
  void aGuestThatBreaksTheRulesHurtsNobodyButItself() throws IOException {
    ConsoleDevice device = device();
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = machine(device, kernel, "probe.run=console-hostile probe.end=halt")) {
      await()
          .atMost(Patience.ofSeconds(10))
          .until(() -> machine.console().contains("probe: passed"));
      Map<String, Long> counters = device.counters();
      assertEquals(2, counters.get("errors_sequence"), counters::toString);
      assertEquals(3, counters.get("errors_port"), counters::toString);
      assertEquals(3, counters.get("errors_event"), counters::toString);
      assertEquals(3, counters.get("errors_malformed"), counters::toString);
      assertEquals(2, counters.get("errors_descriptors"), counters::toString);
      try (SocketChannel console = connect("hvc0")) {
        assertEquals("still here", new String(read(console, 10), US_ASCII));
      }
    }
  }
}
