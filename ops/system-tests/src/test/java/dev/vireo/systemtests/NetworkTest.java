package dev.vireo.systemtests;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.MicroVmState;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.Termination;
import dev.vireo.proto.v1.TransportProtocol;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Routed networks, tried from inside containers on an emulated node. To it the host that it runs
 * on, 10.0.2.2, is the world.
 */
@Tag("linux")
class NetworkTest {
  @RegisterExtension
  static final LinuxClusterExtension CLUSTER = new LinuxClusterExtension(Architecture.X86_64);

  private static final String WORLD = "10.0.2.2";
  private static final String NODE = "10.0.2.15";
  private static final int NODES_PORT = 7777;

  /** Prints "NAME open" or "NAME closed" for {@code try NAME ADDRESS PORT}. */
  private static final String TRY =
      """
      try() { if nc -w 5 "$2" "$3" < /dev/null > /dev/null 2>&1; then echo "$1 open"; else echo "$1 closed"; fi; }
      """;

  private final LinuxCluster cluster = CLUSTER.cluster();
  private final LinuxGuests guests = cluster.guests();

  private static MicroVmSpec.Builder busybox(RoutedNetwork.Builder network, String script) {
    MicroVmSpec.Builder spec =
        MicroVmSpec.newBuilder().setArchitecture(Architecture.X86_64).setVcpus(1).setMemoryMib(256);
    spec.getContainerBuilder()
        .setImage("busybox")
        .addArguments("sh")
        .addArguments("-c")
        .addArguments(script);
    spec.addNetworksBuilder().setId("net0").setRouted(network);
    return spec;
  }

  private static EgressRule.Builder to(String cidr) {
    return EgressRule.newBuilder().setCidr(cidr);
  }

  private String onNode(String command) throws IOException {
    return cluster.askNode(Architecture.X86_64, command).strip();
  }

  /** What a guest has found, by the names of its tries. */
  private Map<String, String> found(String id) {
    assertEquals(0, guests.awaitEnd(id).getExitStatus(), () -> guests.console(id));
    Map<String, String> found = new TreeMap<>();
    guests
        .console(id)
        .lines()
        .map(line -> line.split(" ", 2))
        .filter(words -> words.length == 2)
        .forEach(words -> found.put(words[0], words[1]));
    return found;
  }

  @Test
  void aGuestReachesWhatItsRulesSayAndIsReachedAtItsPorts() throws IOException {
    try (ServerSocket world = new ServerSocket(0, 0, InetAddress.getLoopbackAddress())) {
      Thread.ofVirtual().start(() -> hangUp(world));
      reachesWhatItsRulesSay(world);
    }
  }

  /** Accepts, and closes at once. */
  private static void hangUp(ServerSocket server) {
    try {
      while (true) {
        server.accept().close();
      }
    } catch (IOException e) {
      // It is closed.
    }
  }

  private void reachesWhatItsRulesSay(ServerSocket world) throws IOException {
    onNode("nc -ll -p %d -e cat > /dev/null 2>&1 & echo".formatted(NODES_PORT));
    RoutedNetwork.Builder published =
        RoutedNetwork.newBuilder().addPorts(PublishedPort.newBuilder().setPort(80));
    guests.start(
        "server",
        busybox(
            published,
            "mkdir /www; echo hello > /www/index.html; httpd -p 80 -h /www; httpd -f -p 81 -h /www"));
    NetworkStatus server = guests.status("server").getNetworks(0);
    int port = server.getPorts(0).getNodePort();
    String get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 127.0.0.1 %d".formatted(port);
    await()
        .atMost(LinuxCluster.PATIENCE)
        .ignoreExceptionsInstanceOf(IOException.class)
        .until(() -> onNode(get), answer -> answer.endsWith("hello"));

    String tries =
        TRY
            + """
            try world %s %d; try node %s %d; try gateway %s %d; try other %s 80; try metadata 169.254.169.254 80
            nslookup example.org > /dev/null 2>&1 && echo "dns open" || echo "dns closed"
            """
                .formatted(
                    WORLD,
                    world.getLocalPort(),
                    NODE,
                    NODES_PORT,
                    server.getGateway(),
                    NODES_PORT,
                    server.getAddress());
    guests.start("none", busybox(RoutedNetwork.newBuilder(), tries));
    RoutedNetwork.Builder list = RoutedNetwork.newBuilder();
    list.getEgressBuilder()
        .addRules(
            to(WORLD)
                .setProtocol(TransportProtocol.TCP)
                .addPorts(PortRange.newBuilder().setFirst(world.getLocalPort())))
        .addRules(to(server.getAddress()));
    guests.start(
        "list", busybox(list, tries + "try unpublished %s 81".formatted(server.getAddress())));

    Map<String, String> none = found("none");
    assertEquals(
        List.of("dns", "gateway", "metadata", "node", "other", "world"),
        List.copyOf(none.keySet()),
        () -> guests.console("none"));
    assertTrue(none.values().stream().allMatch("closed"::equals), none::toString);
    Map<String, String> some = found("list");
    assertEquals("open", some.remove("world"), some::toString);
    assertEquals("open", some.remove("other"), some::toString);
    assertEquals(5, some.size(), some::toString);
    assertTrue(some.values().stream().allMatch("closed"::equals), some::toString);
  }

  @Test
  void nothingIsLeftWhenTheVmmAndTheWorkerAreKilled() throws IOException {
    RoutedNetwork.Builder network =
        RoutedNetwork.newBuilder().addPorts(PublishedPort.newBuilder().setPort(80));
    network.getEgressBuilder().addRulesBuilder().setDnsName("example.org");
    guests.start("killed", busybox(network, "sleep 100000"));
    NetworkStatus given = guests.status("killed").getNetworks(0);
    assertTrue(onNode("ip link").contains(given.getTap()));
    assertTrue(onNode("nft list ruleset").contains(given.getTap()));

    long vmm = guests.inspect("killed").getVmmPid();
    cluster.killWorker(Architecture.X86_64);
    assertTrue(onNode("nft list ruleset").contains(given.getTap()), "filtered as before");
    onNode("kill -9 " + vmm);

    guests.awaitEnd("killed");
    await()
        .atMost(LinuxCluster.PATIENCE)
        .until(() -> onNode("nft list ruleset; ip link; ip route"), left -> !left.contains("vn0"));
    assertFalse(onNode("nft list tables").contains("vireo_"));
    assertEquals(MicroVmState.FAILED, guests.status("killed").getState());
    guests.deleteAll();
    guests.start("next", busybox(network, "ip addr; sleep 100000"));
    assertFalse(
        given.getAddress().equals(guests.status("next").getNetworks(0).getAddress()),
        "not again at once");
  }

  @Test
  void aGuestThatCannotBeConfiguredSaysWhyAndPowersOff() {
    String argument = "vireo.net=02:00:00:00:00:01,10.0.0.2,10.0.0.1,0";
    Vireo.Result run =
        cluster
            .vireo()
            .run("run", "bad", "--image", "busybox", "--arch", "x86_64", "--cmdline", argument);
    assertEquals(0, run.exitCode(), run.err());

    assertEquals(Termination.Cause.SETUP_FAILED, guests.awaitEnd("bad").getCause());
    String console = cluster.vireo().run("logs", "--console", "bad").out();
    assertTrue(console.contains("no interface has the address 02:00:00:00:00:01"), console);
  }
}
