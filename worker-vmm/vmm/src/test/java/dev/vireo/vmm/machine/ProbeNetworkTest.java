package dev.vireo.vmm.machine;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.vireo.linux.Fd;
import dev.vireo.linux.MonotonicClock;
import dev.vireo.linux.TapInterface;
import dev.vireo.linux.testing.NetworkNamespace;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.vmm.v1.EndCause;
import dev.vireo.vmm.backend.RateLimiter;
import dev.vireo.vmm.backend.Tap;
import dev.vireo.vmm.backend.TokenBucket;
import dev.vireo.vmm.virtio.net.NetDevice;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.SocketException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The probe's network programs against this machine's kernel, in a network namespace of its own.
 */
@Tag("kvm")
final class ProbeNetworkTest {
  private static final String PROBE =
      Path.of(System.getProperty("vireo.root"), "ops/guest/probe/build/probe.elf").toString();

  private static final byte[] MAC = {0x02, 0, 0x5e, 0, 0x53, 0x01};
  private static final int ECHO_PORT = 7;

  private final NetworkNamespace namespace = new NetworkNamespace();
  private final DatagramSocket echo = namespace.call(() -> new DatagramSocket(null));

  @AfterEach
  void close() {
    echo.close();
    namespace.close();
  }

  /** An interface that the host has the address of, and by which it routes packets back. */
  private Tap up() {
    TapInterface tap = namespace.call(() -> TapInterface.create("vireo-", 1, 0));
    namespace.shell(
        "sysctl -qw net.ipv6.conf.vireo-0.disable_ipv6=1 net.ipv4.ip_forward=1"
            + " net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.vireo-0.send_redirects=0"
            + " && ip addr add 192.0.2.1/24 dev vireo-0 && ip link set vireo-0 up"
            + " && ip route add 198.51.100.0/24 via 192.0.2.2 dev vireo-0");
    return new Tap(tap.queues().getFirst());
  }

  private static NetDevice device(Tap tap, RateLimiter receive, RateLimiter transmit) {
    return new NetDevice(
        "net0", MAC, 1400, receive, transmit, List.of(tap), MonotonicClock.INSTANCE);
  }

  private static NetDevice device(Tap tap) {
    return device(tap, RateLimiter.UNLIMITED, RateLimiter.UNLIMITED);
  }

  /** Sends each datagram back, on a thread that ends with the socket. */
  private void startEcho() {
    namespace.run(() -> echo.bind(new InetSocketAddress("192.0.2.1", ECHO_PORT)));
    Thread.ofPlatform().daemon().name("echo").start(this::answer);
  }

  private void answer() {
    DatagramPacket packet = new DatagramPacket(new byte[65_536], 65_536);
    try {
      while (true) {
        packet.setLength(65_536);
        echo.receive(packet);
        echo.send(packet);
      }
    } catch (SocketException e) {
      // Closed, at the end of the test.
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private TestMachine start(String commandLine, NetDevice device, Fd kernel) {
    return TestMachine.with()
        .memoryMib(64)
        .commandLine(commandLine)
        .devices(device)
        .build(kernel)
        .start();
  }

  /** Runs the probe to its end, which must be a good one, and returns what it printed. */
  private Map<String, String> run(String commandLine, NetDevice device) {
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = start(commandLine, device, kernel)) {
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
      assertTrue(machine.console().contains("probe: passed"), machine::console);
      Map<String, String> values = new TreeMap<>();
      machine
          .console()
          .lines()
          .filter(line -> line.contains("="))
          .forEach(line -> values.put(line.split("=", 2)[0], line.split("=", 2)[1]));
      return values;
    }
  }

  @Test
  void tellsWhatTheDeviceIs() {
    Map<String, String> found = run("probe.run=net-info", device(up()));
    assertEquals("02:00:5e:00:53:01", found.get("mac"));
    assertEquals("1", found.get("link_up"));
    assertEquals("1400", found.get("mtu"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "probe.offload=1 probe.mrg=1",
        "probe.offload=1 probe.mrg=0",
        "probe.offload=0 probe.mrg=1",
        "probe.offload=0 probe.mrg=0",
        "probe.event_idx=0",
        "probe.mode=poll"
      })
  void talksToTheHostsKernel(String features) {
    Tap tap = up();
    startEcho();
    String program = "probe.run=net-verify probe.ops=2000 probe.depth=16 probe.block=1200 ";
    Map<String, String> found = run(program + features, device(tap));
    assertEquals("2000", found.get("received"));
    assertEquals("0", found.get("wrong"));
    assertEquals(
        "0",
        namespace.shell("awk '/^Udp: [0-9]/ {print $4 + $8}' /proc/net/snmp"),
        "the kernel found every checksum right");
  }

  @ParameterizedTest
  @ValueSource(ints = {64, 1514, 9000, 65_535})
  void getsBackWhatTheHostRoutesBack(int bytes) {
    Map<String, String> found =
        run(
            "probe.run=net-rate probe.verify=1 probe.ops=500 probe.depth=16 probe.block=" + bytes,
            device(up()));
    assertEquals("500", found.get("received"));
    assertEquals("0", found.get("wrong"));
  }

  @Test
  void getsAtMostItsRate() {
    RateLimiter limited = new RateLimiter(null, new TokenBucket(10, 1000, MonotonicClock.INSTANCE));
    Map<String, String> found =
        run(
            "probe.run=net-rate probe.ops=510 probe.depth=16 probe.block=64",
            device(up(), RateLimiter.UNLIMITED, limited));
    assertEquals("510", found.get("received"));
    // An operation more was ARP. A thousand a second, after ten at once: half a second at least.
    assertTrue(Long.parseLong(found.get("elapsed_ns")) >= 500_000_000L, found.toString());
  }

  @Test
  void framesAreMovedWithoutAllocating() {
    NetDevice device = device(up());
    long frames = Patience.repetitions(20_000);
    String program = "probe.run=net-rate probe.ops=0 probe.duration_ms=60000 probe.depth=8";
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine = start(program, device, kernel)) {
      awaitFrames(device, frames / 4);
      long before = allocatedByDeviceThreads();
      awaitFrames(device, frames / 4 + frames);
      long allocated = allocatedByDeviceThreads() - before;
      assertTrue(allocated < 5 * frames, allocated + " bytes for these frames out and in");
      assertFalse(machine.hasEnded());
    }
  }

  private static void awaitFrames(NetDevice device, long count) {
    await()
        .atMost(Patience.ofSeconds(20))
        .until(() -> device.counters().getOrDefault("rx_frames", 0L) > count);
  }

  private static long allocatedByDeviceThreads() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long sum = 0;
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().startsWith("net net0")) {
        sum += threads.getThreadAllocatedBytes(thread.threadId());
      }
    }
    return sum;
  }

  @Test
  void outlivesADriverThatBreaksItsRules() {
    NetDevice device = device(up());
    run("probe.run=net-hostile", device);
    Map<String, Long> counters = device.counters();
    assertEquals(2, counters.get("errors_too_short"), counters::toString);
    assertEquals(1, counters.get("errors_too_long"), counters::toString);
    assertEquals(1, counters.get("errors_direction"), counters::toString);
    assertEquals(4, counters.get("errors_descriptors"), counters::toString);
    assertEquals(3, counters.get("tx_refused"), counters::toString);
  }

  @Test
  void livesOnWhenItsInterfaceIsDeleted() {
    Tap tap = up();
    NetDevice device = device(tap);
    try (Fd kernel = Fd.open(PROBE, Fd.O_RDONLY);
        TestMachine machine =
            start("probe.run=net-rate probe.ops=0 probe.duration_ms=3000", device, kernel)) {
      await()
          .atMost(Patience.ofSeconds(10))
          .until(() -> device.counters().getOrDefault("rx_frames", 0L) > 100);
      namespace.shell("ip link del vireo-0");
      await()
          .atMost(Patience.ofSeconds(10))
          .until(() -> device.counters().getOrDefault("link_down", 0L) == 1);
      assertEquals(EndCause.END_GUEST_POWER_OFF, machine.awaitEnd().cause(), machine::console);
    }
  }
}
