package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.vireo.bench.ProbeOutput;
import dev.vireo.bench.cluster.Installation;
import dev.vireo.bench.cluster.MicroVms;
import dev.vireo.bench.cluster.Patience;
import dev.vireo.bench.cluster.ProbeSpec;
import dev.vireo.proto.v1.CreateMicroVmRequest.Wait;
import dev.vireo.proto.v1.LogSource;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.StreamLogsRequest;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Networks of a node whose worker is not root's: what guests reach and where they are reached, and
 * that nothing of it is left. The guests are probes.
 */
@Tag("kvm")
class RootlessNetworkTest {
  private static final Duration PATIENCE = Patience.ofSeconds(30);
  private static final int ANSWER_MS = 5000;
  private static final String GREETING = "hello from the probe";

  private UnprivilegedMachine machine;
  private ManagedChannel channel;
  private MicroVms microVms;

  @BeforeEach
  void setUp() throws IOException {
    machine = new UnprivilegedMachine(Installation.find());
    up();
    UnprivilegedMachine.Result load = machine.loadContainerImage();
    assertEquals(0, load.exitCode(), load.output());
    channel = machine.namespace().channel("127.0.0.1", UnprivilegedMachine.PORT);
    microVms = new MicroVms(channel, "default");
  }

  @AfterEach
  void tearDown() throws IOException {
    if (channel != null) {
      channel.shutdownNow();
    }
    machine.close();
  }

  private void up() throws IOException {
    UnprivilegedMachine.Result up = machine.up();
    assertEquals(0, up.exitCode(), up.output());
  }

  private static MicroVmSpec spec(String arguments, RoutedNetwork.Builder network) {
    MicroVmSpec.Builder spec = ProbeSpec.of(arguments).toBuilder();
    spec.getBootBuilder().setKernel(UnprivilegedMachine.KERNEL);
    spec.getContainerBuilder().setImage(UnprivilegedMachine.CONTAINER).addArguments("nothing");
    spec.addNetworksBuilder().setId("net0").setRouted(network);
    return spec.build();
  }

  private static RoutedNetwork.Builder reaching(String... cidrs) {
    RoutedNetwork.Builder network = RoutedNetwork.newBuilder();
    for (String cidr : cidrs) {
      network.getEgressBuilder().addRulesBuilder().setCidr(cidr);
    }
    return network;
  }

  private static RoutedNetwork.Builder publishedAt(String address, int port) {
    return RoutedNetwork.newBuilder()
        .addPorts(PublishedPort.newBuilder().setNodeAddress(address).setNodePort(port).setPort(80));
  }

  /** Of three datagrams that a guest has sent to an echo service, so many have come back. */
  private long echoes(String address, RoutedNetwork.Builder network) throws IOException {
    String arguments = "probe.run=net-verify probe.ops=3 probe.peer=" + hex(address);
    microVms.create("asking", spec(arguments, network));
    try {
      return await()
          .atMost(PATIENCE)
          .ignoreExceptionsInstanceOf(StatusRuntimeException.class)
          .until(() -> console("asking"), ProbeOutput::ended)
          .number("received");
    } finally {
      delete("asking");
    }
  }

  private ProbeOutput console(String id) {
    StringBuilder text = new StringBuilder();
    microVms
        .api()
        .streamLogs(
            StreamLogsRequest.newBuilder()
                .setName(microVms.name(id))
                .setSource(LogSource.LOG_SOURCE_CONSOLE)
                .build())
        .forEachRemaining(chunk -> text.append(chunk.getData().toStringUtf8()));
    return ProbeOutput.parse(text.toString());
  }

  private static String hex(String address) {
    StringBuilder hex = new StringBuilder("0x");
    for (String part : address.split("\\.", -1)) {
      hex.append("%02x".formatted(Integer.parseInt(part)));
    }
    return hex.toString();
  }

  private void delete(String id) {
    microVms.delete(id);
    await().atMost(PATIENCE).until(() -> microVms.list().isEmpty());
  }

  /** What is heard at an address after something was sent there; empty: the connection ended. */
  private static String ask(NetworkNamespace from, String address, int port) throws IOException {
    try (SocketChannel server = from.open(() -> SocketChannel.open(StandardProtocolFamily.INET))) {
      server.socket().connect(new InetSocketAddress(address, port), ANSWER_MS);
      server.socket().setSoTimeout(ANSWER_MS);
      server.socket().getOutputStream().write("hello\n".getBytes(US_ASCII));
      return new String(server.socket().getInputStream().readAllBytes(), US_ASCII).strip();
    }
  }

  private void awaitGreeting(NetworkNamespace from, String address, int port) {
    await()
        .atMost(PATIENCE)
        .ignoreExceptionsInstanceOf(IOException.class)
        .until(() -> ask(from, address, port), GREETING::equals);
  }

  @Test
  void aGuestReachesWhatItsRulesSayAndNothingOfTheMachine() throws IOException {
    try (UdpEcho web = new UdpEcho(machine.internet(), UnprivilegedMachine.WEB);
        UdpEcho metadata = new UdpEcho(machine.internet(), UnprivilegedMachine.METADATA);
        UdpEcho own = new UdpEcho(machine.namespace(), "0.0.0.0")) {
      assertEquals(3, echoes(UnprivilegedMachine.WEB, reaching("198.51.100.0/24")));
      assertEquals(3, web.heard());
      assertEquals(0, echoes(UnprivilegedMachine.WEB, reaching("198.51.100.8/32")));
      assertEquals(3, web.heard(), "what no rule says is not reached");

      for (String address :
          List.of(
              UnprivilegedMachine.METADATA,
              UnprivilegedMachine.ADDRESS,
              UnprivilegedMachine.OTHER_ADDRESS,
              UnprivilegedMachine.ROUTER, // pasta would make the machine's loopback of it
              "127.0.0.1")) {
        assertEquals(0, echoes(address, reaching("0.0.0.0/0")), address);
      }
      assertEquals(0, metadata.heard());
      assertEquals(0, own.heard());

      machine.namespace().run("ip addr add 10.99.0.2/24 dev other", "");
      assertEquals(0, echoes("10.99.0.2", reaching("0.0.0.0/0")), "later than the namespace");
      assertEquals(0, own.heard());
    }
  }

  @Test
  void aGuestIsReachedAtItsPublishedPort() throws IOException {
    microVms.create(
        "local", spec("probe.run=net-serve", publishedAt("127.0.0.1", 8080)), Wait.WAIT_RUNNING);
    awaitGreeting(machine.namespace(), "127.0.0.1", 8080);
    for (NetworkNamespace elsewhere : List.of(machine.internet(), machine.namespace())) {
      assertFalse(isGreeted(elsewhere, UnprivilegedMachine.ADDRESS, 8080));
    }
    delete("local");
    await().atMost(PATIENCE).until(() -> !isOpen("127.0.0.1", 8080));

    microVms.create(
        "public", spec("probe.run=net-serve", publishedAt("0.0.0.0", 8081)), Wait.WAIT_RUNNING);
    awaitGreeting(machine.namespace(), "127.0.0.1", 8081);
    awaitGreeting(machine.internet(), UnprivilegedMachine.ADDRESS, 8081);
    delete("public");

    microVms.create("taken", spec("probe.run=idle", publishedAt("", UnprivilegedMachine.PORT)));
    await()
        .atMost(PATIENCE)
        .until(
            () -> microVms.get("taken").getStatus().getConditionsList().toString(),
            why -> why.contains("cannot publish at 127.0.0.1:" + UnprivilegedMachine.PORT));
  }

  private static boolean isGreeted(NetworkNamespace from, String address, int port) {
    try {
      return ask(from, address, port).equals(GREETING);
    } catch (IOException e) {
      return false;
    }
  }

  private boolean isOpen(String address, int port) {
    try {
      ask(machine.namespace(), address, port);
      return true;
    } catch (SocketTimeoutException e) {
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void whatIsKilledComesBackWithTheNextUpAndAllIsGoneAfterDown() throws IOException {
    try (UdpEcho web = new UdpEcho(machine.internet(), UnprivilegedMachine.WEB)) {
      microVms.create(
          "served", spec("probe.run=net-serve", publishedAt("", 8080)), Wait.WAIT_RUNNING);
      awaitGreeting(machine.namespace(), "127.0.0.1", 8080);
      long vmm = microVms.inspect("served").getVmmPid();

      for (List<String> victims :
          List.of(
              List.of("network-pasta"),
              List.of("network"),
              List.of("worker"),
              List.of("network", "network-pasta", "worker"))) {
        for (String victim : victims) {
          machine.kill(victim);
        }
        up();
        awaitGreeting(machine.namespace(), "127.0.0.1", 8080);
        // The guest went on. A worker that was killed may have no session yet.
        await()
            .atMost(PATIENCE)
            .ignoreExceptionsInstanceOf(StatusRuntimeException.class)
            .until(() -> microVms.inspect("served").getVmmPid(), pid -> pid == vmm);
      }
      delete("served");
      assertEquals(3, echoes(UnprivilegedMachine.WEB, reaching("198.51.100.0/24")));
      assertEquals(3, web.heard());
      microVms.create("left", spec("probe.run=idle", reaching()), Wait.WAIT_RUNNING);
    }
    machine.kill("network");

    UnprivilegedMachine.Result down = machine.vireo("down");

    assertEquals(0, down.exitCode(), down.output());
    await().atMost(PATIENCE).until(() -> machine.processesOfUser().isEmpty());
  }
}
