package dev.vireo.worker.network;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.TapInterface;
import dev.vireo.linux.testing.NetworkNamespace;
import dev.vireo.linux.testing.Patience;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.TransportProtocol;
import dev.vireo.worker.boot.RejectedException;
import dev.vireo.worker.network.NameGrants.NameRule;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What guests reach and where they are reached, on a node that is a namespace with a way out to
 * another one, the Internet. Guests are namespaces, too, behind the interfaces that a VMM would
 * get.
 */
@Tag("kvm")
class RoutedNetworksTest {
  private static final Ipv4Network POOL = Ipv4Network.parse("10.213.0.0/24");
  private static final String GATEWAY = "10.213.0.1";
  private static final String NODE = "192.0.2.2";
  private static final String WEB = "198.51.100.7";
  private static final String OTHER = "203.0.113.9";
  private static final String METADATA = "169.254.169.254";
  private static final String TABLE = "vireo_test";

  private final List<AutoCloseable> open = new ArrayList<>();
  private final NetworkNamespace node = new NetworkNamespace();
  private final NetworkNamespace internet = new NetworkNamespace();

  @TempDir private Path state;
  private RoutedNetworks networks;

  @BeforeEach
  void connectTheNode() {
    String thread = internet.call(() -> Path.of("/proc/thread-self").toRealPath().toString());
    node.shell("ip link add eth0 type veth peer name uplink");
    // ip(8) names a namespace by a process or by a file that it finds in /run/netns.
    node.shell("ip link set uplink netns " + thread.substring(thread.lastIndexOf('/') + 1));
    node.shell(
        "ip addr add 192.0.2.2/24 dev eth0 && ip link set eth0 up"
            + " && ip route add default via 192.0.2.1"
            + " && echo 1 > /proc/sys/net/ipv4/ip_forward");
    internet.shell(
        "ip addr add 192.0.2.1/24 dev uplink && ip link set uplink up"
            + " && ip addr add 198.51.100.7/32 dev lo && ip addr add 203.0.113.9/32 dev lo"
            + " && ip addr add 169.254.169.254/32 dev lo");
    for (String address : List.of(WEB, OTHER, METADATA)) {
      open.add(new TestServer(internet, address, 80));
      open.add(new TestServer(internet, address, 443));
    }
    open.add(new TestServer(node, "0.0.0.0", 22));
    networks = worker();
  }

  private RoutedNetworks worker() {
    return new RoutedNetworks(
        new AddressPool(POOL, state.resolve("next")),
        new NodePorts(PortSockets.BOUND),
        TABLE,
        new NftProgram("nft"),
        new LinuxInterfaces());
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable one : open.reversed()) {
      one.close();
    }
    node.close();
    internet.close();
  }

  private static MicroVmSpec spec(Consumer<RoutedNetwork.Builder> change) {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder();
    change.accept(spec.addNetworksBuilder().setId("net0").getRoutedBuilder());
    return spec.build();
  }

  private static EgressRule.Builder to(String cidr) {
    return EgressRule.newBuilder().setCidr(cidr);
  }

  private NetworkStatus assign(String uid, MicroVmSpec spec) {
    return node.call(() -> networks.assign(uid, spec).orElseThrow());
  }

  /** As the worker does it: the interface, its rules, and then the guest. */
  private TestGuest start(String uid, MicroVmSpec spec) {
    NetworkStatus given = assign(uid, spec);
    TapInterface tap = node.call(() -> TapInterface.createNamed(given.getTap(), 1, 0));
    node.run(() -> networks.connect(uid));
    TestGuest guest = new TestGuest(given, tap);
    open.add(guest);
    return guest;
  }

  private TestGuest start(String uid, EgressRule.Builder... rules) {
    return start(
        uid,
        spec(routed -> {
          for (EgressRule.Builder rule : rules) {
            routed.getEgressBuilder().addRules(rule);
          }
        }));
  }

  private void end(String uid, TestGuest guest) {
    open.remove(guest);
    guest.close();
    node.run(() -> networks.disconnect(uid));
  }

  private String rules() {
    return node.shell("nft list ruleset");
  }

  private RejectedException refusal(String uid, MicroVmSpec spec) {
    return node.call(() -> assertThrows(RejectedException.class, () -> networks.assign(uid, spec)));
  }

  @Test
  void withoutEgressNothingIsReached() {
    TestGuest other = start("other", to("0.0.0.0/0"));
    open.add(new TestServer(other.inside, "0.0.0.0", 80));
    TestGuest guest = start("guest");
    for (String address : List.of(WEB, OTHER, METADATA, "192.0.2.1", other.given.getAddress())) {
      assertEquals("refused", guest.connect(address, 80), address);
      assertFalse(guest.pings(address), address);
    }
    for (String address : List.of(NODE, GATEWAY)) {
      assertEquals("refused", guest.connect(address, 22), address);
      assertEquals("refused", guest.connect(address, 1), address);
      assertFalse(guest.pings(address), address);
    }
    assertNotEquals("hello", guest.ask(GATEWAY, 53));
    assertNotEquals("hello", guest.ask(WEB, 443));
  }

  @Test
  void aListReachesTheListOnly() {
    TestGuest guest =
        start(
            "guest",
            to(WEB)
                .setProtocol(TransportProtocol.TCP)
                .addPorts(PortRange.newBuilder().setFirst(80)),
            to("203.0.113.0/24")
                .setProtocol(TransportProtocol.UDP)
                .addPorts(PortRange.newBuilder().setFirst(440).setLast(450)));
    assertEquals("open", guest.connect(WEB, 80));
    assertEquals("refused", guest.connect(WEB, 443));
    assertNotEquals("hello", guest.ask(WEB, 80));
    assertEquals("refused", guest.connect(OTHER, 443));
    assertEquals("hello", guest.ask(OTHER, 443));
    assertNotEquals("hello", guest.ask(OTHER, 80));
    assertFalse(guest.pings(WEB));
    assertEquals("refused", guest.connect(METADATA, 80));
  }

  @Test
  void everythingIsNotTheNodeNorTheCloudsMetadataNorOtherGuests() {
    TestGuest other = start("other", to("0.0.0.0/0"));
    open.add(new TestServer(other.inside, "0.0.0.0", 80));
    TestGuest guest = start("guest", to("0.0.0.0/0"));
    assertEquals("open", guest.connect(WEB, 80));
    assertEquals("hello", guest.ask(OTHER, 443));
    assertTrue(guest.pings(WEB));
    assertEquals("refused", guest.connect(WEB, 81), "nobody is there");
    for (String address : List.of(METADATA, other.given.getAddress())) {
      assertEquals("refused", guest.connect(address, 80), address);
      assertFalse(guest.pings(address), address);
    }
    assertEquals("refused", guest.connect(NODE, 22));
    assertEquals("refused", guest.connect(GATEWAY, 22));
  }

  @Test
  void whatIsNamedNarrowlyIsReached() {
    TestGuest guest =
        start("guest", to(METADATA), to(NODE).addPorts(PortRange.newBuilder().setFirst(22)));
    assertEquals("open", guest.connect(METADATA, 80));
    assertEquals("open", guest.connect(NODE, 22));
    assertEquals("refused", guest.connect(METADATA, 81));
    assertEquals("refused", guest.connect(NODE, 23));
    assertEquals("refused", guest.connect(WEB, 80));
  }

  @Test
  void guestsReachEachOtherWhereBothSidesWantIt() {
    TestGuest server =
        start("server", spec(routed -> routed.addPorts(PublishedPort.newBuilder().setPort(80))));
    open.add(new TestServer(server.inside, "0.0.0.0", 80));
    open.add(new TestServer(server.inside, "0.0.0.0", 81));
    TestGuest client = start("client", to("10.213.0.0/24"));
    assertEquals("open", client.connect(server.given.getAddress(), 80));
    assertEquals("lost", client.connect(server.given.getAddress(), 81));
    assertEquals("refused", server.connect(client.given.getAddress(), 80));
  }

  @Test
  void nobodyTakesAnothersAddress() {
    TestServer world = new TestServer(internet, WEB, 7);
    open.add(world);
    TestGuest guest = start("guest", to("0.0.0.0/0"));
    assertEquals("hello", guest.ask(WEB, 7));
    // Routing alone would find some of it; it is not what this is about.
    node.shell("echo 0 > /proc/sys/net/ipv4/conf/vn0ad50002/rp_filter");
    guest.inside.shell(
        "ip addr add 10.213.0.200/32 dev eth0 && ip addr add 192.0.2.77/32 dev eth0");
    guest.inside.run(() -> {
      sendFrom("10.213.0.200", WEB, 7);
      sendFrom("192.0.2.77", WEB, 7);
    });
    assertEquals("hello", guest.ask(WEB, 7));
    assertEquals(2, world.senders.size());
    String own = guest.given.getMacAddress();
    setMac(guest, "02:00:00:00:00:99");
    guest.inside.run(() -> sendFrom(guest.given.getAddress(), WEB, 7));
    setMac(guest, own);
    assertEquals("hello", guest.ask(WEB, 7));
    assertEquals(3, world.senders.size());
  }

  @Test
  void aGuestsConnectionsTakeTheirPartOfTheNodesTableAndNoMore() {
    TestGuest greedy = start("greedy", to("0.0.0.0/0"));
    TestGuest other = start("other", to("0.0.0.0/0"));
    int most = NftRules.MOST_CONNECTIONS;
    AtomicInteger port = new AtomicInteger(1000);
    greedy.inside.run(() -> sendToPorts(port.getAndAdd(1000), 1000));
    assertEquals("open", greedy.connect(WEB, 80), "there is room");
    await()
        .atMost(Patience.ofSeconds(20))
        .until(
            () -> {
              greedy.inside.run(() -> sendToPorts(port.getAndAdd(1000), 1000));
              return greedy.connect(WEB, 80);
            },
            "refused"::equals);
    assertNotEquals("hello", greedy.ask(OTHER, 443));
    int tracked =
        Integer.parseInt(node.shell("cat /proc/sys/net/netfilter/nf_conntrack_count").strip());
    assertTrue(tracked > most / 2 && tracked <= most + 10, () -> tracked + " are tracked");
    assertEquals("open", other.connect(WEB, 80));
    assertEquals("hello", other.ask(OTHER, 443));

    end("greedy", greedy);
    assertFalse(rules().contains("%s ct count".formatted(greedy.given.getAddress())), rules());
  }

  /** To each of so many a datagram, some of which are lost if that is too fast for the taps. */
  private static void sendToPorts(int first, int count) throws IOException {
    byte[] text = "hello".getBytes(US_ASCII);
    try (DatagramSocket socket = new DatagramSocket()) {
      for (int port = first; port < first + count; port++) {
        socket.send(new DatagramPacket(text, text.length, InetAddress.getByName(WEB), port));
      }
    }
  }

  private static void sendFrom(String source, String address, int port) throws IOException {
    try (DatagramSocket socket = new DatagramSocket(0, InetAddress.getByName(source))) {
      socket.connect(InetAddress.getByName(address), port);
      socket.send(new DatagramPacket("forged".getBytes(US_ASCII), 6));
    }
  }

  /** It goes on to know the gateway's, which it need not ask for. */
  private void setMac(TestGuest guest, String mac) {
    String gateway = node.shell("ip -o link show vn0ad50002 | sed 's/.*ether //; s/ .*//'");
    guest.inside.shell(
        "ip link set eth0 address %s && ip neigh replace %s lladdr %s dev eth0"
            .formatted(mac, GATEWAY, gateway));
  }

  @Test
  void publishedPortsAreReachedFromOutsideAndByTheNodeItself() {
    TestGuest guest =
        start(
            "guest",
            spec(routed -> {
              routed.addPorts(PublishedPort.newBuilder().setPort(80).setNodePort(8080));
              routed.addPorts(
                  PublishedPort.newBuilder()
                      .setPort(80)
                      .setNodePort(8081)
                      .setNodeAddress("0.0.0.0"));
              routed.addPorts(
                  PublishedPort.newBuilder()
                      .setPort(53)
                      .setNodePort(8053)
                      .setNodeAddress(NODE)
                      .setProtocol(TransportProtocol.UDP));
              routed.addPorts(PublishedPort.newBuilder().setPort(80));
            }));
    TestServer web = new TestServer(guest.inside, "0.0.0.0", 80);
    open.add(web);
    open.add(new TestServer(guest.inside, "0.0.0.0", 53));
    open.add(new TestServer(guest.inside, "0.0.0.0", 81));
    assertEquals("open", node.call(() -> TestGuest.connectHere("127.0.0.1", 8080)));
    assertEquals("open", node.call(() -> TestGuest.connectHere("127.0.0.1", 8081)));
    assertEquals("open", node.call(() -> TestGuest.connectHere(NODE, 8081)));
    int chosen = guest.given.getPorts(3).getNodePort();
    assertEquals("open", node.call(() -> TestGuest.connectHere("127.0.0.1", chosen)));
    assertEquals("open", internet.call(() -> TestGuest.connectHere(NODE, 8081)));
    assertEquals("refused", internet.call(() -> TestGuest.connectHere(NODE, 8080)));
    await()
        .atMost(Patience.ofSeconds(10))
        .until(
            () -> List.copyOf(web.clients),
            List.of(GATEWAY, GATEWAY, NODE, GATEWAY, "192.0.2.1")::equals);
    assertEquals("hello", new Asking(internet).ask(NODE, 8053));
    assertEquals("hello", new Asking(node).ask(NODE, 8053));
    // Whoever routes to the guest's own address gets no further.
    internet.shell("ip route add 10.213.0.0/24 via 192.0.2.2");
    String direct = guest.given.getAddress();
    assertEquals("lost", internet.call(() -> TestGuest.connectHere(direct, 80)));
    assertEquals("lost", node.call(() -> TestGuest.connectHere(direct, 81)));
  }

  @Test
  void whatIsPublishedOnTheNodesLoopbackIsNotForItsNeighbours() {
    PublishedPort.Builder port =
        PublishedPort.newBuilder().setPort(53).setProtocol(TransportProtocol.UDP);
    TestGuest guest =
        start(
            "guest",
            spec(routed -> {
              routed.addPorts(port.setNodePort(8053));
              routed.addPorts(port.setNodePort(8054).setNodeAddress(NODE));
            }));
    TestServer server = new TestServer(guest.inside, "0.0.0.0", 53);
    open.add(server);
    // A neighbour puts whatever it likes into what it sends.
    String mac = node.shell("ip -o link show eth0 | sed 's/.*ether //; s/ .*//'");
    internet.shell(
        "ip neigh add 127.0.0.1 lladdr %s dev uplink && nft add table ip forge".formatted(mac)
            + " && nft 'add chain ip forge out { type filter hook postrouting priority 300; }'"
            + " && nft add rule ip forge out udp dport 8053 ip daddr set 127.0.0.1");
    internet.run(() -> send(NODE, 8053));
    assertEquals("hello", new Asking(internet).ask(NODE, 8054));
    assertEquals(List.of("192.0.2.1"), List.copyOf(server.senders));
    assertEquals("hello", new Asking(node).ask("127.0.0.1", 8053));
  }

  private static void send(String address, int port) throws IOException {
    try (DatagramSocket socket = new DatagramSocket()) {
      socket.connect(InetAddress.getByName(address), port);
      socket.send(new DatagramPacket("forged".getBytes(US_ASCII), 6));
    }
  }

  private record Asking(NetworkNamespace where) {
    String ask(String address, int port) {
      return where.call(() -> {
        try (DatagramSocket socket = new DatagramSocket()) {
          socket.setSoTimeout((int) Patience.ofSeconds(5).toMillis());
          socket.connect(InetAddress.getByName(address), port);
          socket.send(new DatagramPacket("hello".getBytes(US_ASCII), 5));
          DatagramPacket answer = new DatagramPacket(new byte[64], 64);
          socket.receive(answer);
          return new String(answer.getData(), 0, answer.getLength(), US_ASCII);
        }
      });
    }
  }

  @Test
  void aPortIsPublishedOnce() {
    MicroVmSpec spec =
        spec(routed -> routed.addPorts(PublishedPort.newBuilder().setPort(80).setNodePort(8080)));
    assign("first", spec);
    RejectedException taken = refusal("second", spec);
    assertEquals(ErrorReason.NODE_PORT_TAKEN, taken.reason());
    assertEquals("spec.networks[0].routed.ports[0].node_port", taken.field());
    RejectedException daemon =
        refusal(
            "second",
            spec(routed ->
                routed.addPorts(
                    PublishedPort.newBuilder().setPort(22).setNodePort(22).setNodeAddress(NODE))));
    assertEquals(ErrorReason.NODE_PORT_TAKEN, daemon.reason());
    assertEquals(
        "spec.networks[0].routed.ports[0].node_address",
        refusal(
                "second",
                spec(routed ->
                    routed.addPorts(
                        PublishedPort.newBuilder().setPort(80).setNodeAddress("192.0.2.3"))))
            .field());
    node.run(() -> networks.release("first"));
    assertEquals(8080, assign("second", spec).getPorts(0).getNodePort());
  }

  @Test
  void aNameLeadsWhereItsGrantsSayForAsLongAsTheyLast() throws IOException {
    TestGuest guest =
        start(
            "guest",
            to("203.0.113.0/24"),
            EgressRule.newBuilder()
                .setDnsName("*.Example.org")
                .setProtocol(TransportProtocol.TCP)
                .addPorts(PortRange.newBuilder().setFirst(80)));
    Inet4Address source = (Inet4Address) InetAddress.getByName(guest.given.getAddress());
    assertEquals(
        Optional.of(
            new NameGrants.ResolvingGuest(
                "guest",
                false,
                List.of(new NameRule(1, "*.example.org")),
                List.of(Ipv4Network.parse("203.0.113.0/24")))),
        networks.resolving(source));
    assertEquals("refused", guest.connect(WEB, 80));
    grant(WEB, Duration.ofMinutes(5));
    grant(METADATA, Duration.ofMinutes(5));
    grant(NODE, Duration.ofMinutes(5));
    grant(GATEWAY, Duration.ofMinutes(5));
    assertEquals("open", guest.connect(WEB, 80));
    assertEquals("refused", guest.connect(WEB, 443), "not by this rule's ports");
    assertEquals("refused", guest.connect(METADATA, 80), "a name does not lead there");
    assertEquals("refused", guest.connect(NODE, 22), "nor to the node");
    grant(WEB, Duration.ofSeconds(1));
    String set = "names_0ad50002_1";
    await()
        .atMost(Patience.ofSeconds(10))
        .until(() -> !node.shell("nft list set inet vireo_test " + set).contains(WEB));
    assertEquals("refused", guest.connect(WEB, 80));
  }

  private void grant(String address, Duration forHowLong) {
    node.run(() ->
        networks.grant("guest", 1, (Inet4Address) InetAddress.getByName(address), forHowLong));
  }

  @Test
  void theResolverIsForThoseWithNames() throws IOException {
    open.add(new TestServer(node, "0.0.0.0", 53));
    assertEquals(
        "hello", start("names", EgressRule.newBuilder().setDnsName("a.org")).ask(GATEWAY, 53));
    TestGuest everywhere = start("everywhere", to("0.0.0.0/0"));
    assertEquals("hello", everywhere.ask(GATEWAY, 53));
    assertEquals("open", everywhere.connect(GATEWAY, 53));
    assertEquals("refused", everywhere.connect(GATEWAY, 22));
    TestGuest list = start("list", to(WEB));
    assertNotEquals("hello", list.ask(GATEWAY, 53));
    Inet4Address source = (Inet4Address) InetAddress.getByName(list.given.getAddress());
    assertEquals(Optional.empty(), networks.resolving(source));
  }

  @Test
  void nothingIsLeftOfThoseThatHaveEnded() {
    TestGuest first = start("first", EgressRule.newBuilder().setDnsName("a.org"));
    TestGuest second =
        start("second", spec(routed -> routed.addPorts(PublishedPort.newBuilder().setPort(80))));
    assertEquals("10.213.0.2", first.given.getAddress());
    assertEquals("10.213.0.3", second.given.getAddress());
    end("second", second);
    assertFalse(rules().contains("0ad50003") || rules().contains("10.213.0.3"), rules());
    assertTrue(rules().contains("vn0ad50002"), rules());
    end("first", first);
    assertEquals("", rules());
    assertFalse(node.shell("ip -o link").contains("vn0ad5"));
    node.run(() -> networks.release("second"));
    assertEquals("10.213.0.4", assign("third", spec(routed -> {})).getAddress());
  }

  @Test
  void aGuestInheritsNoConnectionOfWhoHadItsAddress() throws Exception {
    TestGuest first = start("guest", published());
    TestGuest neighbour = start("neighbour");
    DatagramSocket client = clientOf(first);
    end("guest", first);
    assertEquals("hello of none", inheritedBy(client, Optional.of(neighbour)));
  }

  @Test
  void norOfOneThatEndedWhileNobodyWasThere() throws Exception {
    TestGuest first = start("guest", published());
    TestGuest neighbour = start("neighbour");
    DatagramSocket client = clientOf(first);
    open.remove(first);
    first.close();
    networks = worker();
    node.run(() -> {
      networks.takeBack("neighbour", spec(routed -> {}), neighbour.given, true);
      networks.takeBack("guest", published(), first.given, false);
      networks.restore();
    });
    assertEquals("hello of none", inheritedBy(client, Optional.of(neighbour)));
  }

  /** Of the last guest, for which there were rules: what could remind a successor of it is gone. */
  @Test
  void norOfOneWhoseWorkerWasKilledAfterItsRulesHadGone() throws Exception {
    TestGuest first = start("guest", published());
    DatagramSocket client = clientOf(first);
    open.remove(first);
    first.close();
    node.shell("nft flush ruleset");
    assertEquals("hello of none", inheritedBy(client, Optional.empty()));
  }

  /** One that the guest has answered. */
  private DatagramSocket clientOf(TestGuest guest) throws Exception {
    open.add(new TestServer(guest.inside, "0.0.0.0", 53));
    DatagramSocket client = internet.call(() -> new DatagramSocket());
    open.add(client);
    assertEquals("hello", ask(client));
    return client;
  }

  private static MicroVmSpec published() {
    return spec(routed ->
        routed.addPorts(
            PublishedPort.newBuilder()
                .setPort(53)
                .setNodePort(8053)
                .setNodeAddress(NODE)
                .setProtocol(TransportProtocol.UDP)));
  }

  /**
   * What reaches the next guest of that address, which publishes nothing.
   *
   * @param neighbour who runs on: the next is not the node's first
   */
  private String inheritedBy(DatagramSocket client, Optional<TestGuest> neighbour)
      throws Exception {
    node.run(() -> networks.release("guest"));
    networks =
        new RoutedNetworks(
            new AddressPool(POOL, state.resolve("anew")),
            new NodePorts(PortSockets.BOUND),
            TABLE,
            new NftProgram("nft"),
            new LinuxInterfaces());
    neighbour.ifPresent(guest ->
        node.run(() -> networks.takeBack("neighbour", spec(routed -> {}), guest.given, true)));
    TestGuest second = start("second");
    assertEquals("10.213.0.2", second.given.getAddress());
    TestServer server = new TestServer(second.inside, "0.0.0.0", 53);
    open.add(server);
    assertNotEquals("hello", ask(client));
    return "hello of " + (server.senders.isEmpty() ? "none" : List.copyOf(server.senders));
  }

  /** Always from the same port: the kernel takes it for the same connection. */
  private static String ask(DatagramSocket client) throws IOException {
    byte[] text = "hello".getBytes(US_ASCII);
    client.setSoTimeout((int) Patience.ofSeconds(1).toMillis());
    try {
      client.send(new DatagramPacket(text, text.length, InetAddress.getByName(NODE), 8053));
      DatagramPacket answer = new DatagramPacket(new byte[64], 64);
      client.receive(answer);
      return new String(answer.getData(), 0, answer.getLength(), US_ASCII);
    } catch (java.net.SocketTimeoutException e) {
      return "lost";
    }
  }

  @Test
  void aGuestIsFilteredAsBeforeWhileNobodyIsThereAndAfterwards() {
    MicroVmSpec spec =
        spec(routed -> {
          routed.getEgressBuilder().addRules(to(WEB)).addRulesBuilder().setDnsName("a.org");
          routed.addPorts(PublishedPort.newBuilder().setPort(80).setNodePort(8080));
        });
    TestGuest guest = start("guest", spec);
    open.add(new TestServer(guest.inside, "0.0.0.0", 80));
    MicroVmSpec gone = spec(routed -> routed.getEgressBuilder().addRulesBuilder().setDnsName("b"));
    TestGuest lost = start("lost", gone);
    grant(OTHER, Duration.ofMinutes(5));
    // The worker is killed: its sockets go with it. Then a VMM is.
    node.run(() -> networks.release("nobody"));
    open.remove(lost);
    lost.close();
    networks = worker();
    assertEquals("open", guest.connect(WEB, 80));
    assertEquals("refused", guest.connect(METADATA, 80));
    assertTrue(rules().contains("0ad50003"), rules());
    node.run(() -> {
      networks.takeBack("guest", spec, guest.given, true);
      networks.takeBack("lost", gone, lost.given, false);
      networks.restore();
    });
    assertFalse(rules().contains("0ad50003"), rules());
    assertEquals("open", guest.connect(WEB, 80));
    assertEquals("open", guest.connect(OTHER, 80), "a grant outlives the worker");
    assertEquals("refused", guest.connect(METADATA, 80));
    assertEquals("open", node.call(() -> TestGuest.connectHere("127.0.0.1", 8080)));
    assertEquals("10.213.0.4", assign("new", spec(routed -> {})).getAddress());
    end("guest", guest);
    assertEquals("", rules());
  }

  @Test
  void aNodeThatForwardsNothingSaysSo() {
    node.shell("echo 0 > /proc/sys/net/ipv4/conf/eth0/forwarding");
    RejectedException refused =
        refusal("guest", spec(routed -> routed.getEgressBuilder().addRules(to(WEB))));
    assertEquals(ErrorReason.ROUTING_UNAVAILABLE, refused.reason());
    assertTrue(
        refused.sentence().contains("sysctl -w net.ipv4.conf.eth0.forwarding=1"),
        refused.sentence());
    assertEquals(
        "10.213.0.3",
        assign(
                "served by the node alone",
                spec(routed -> routed.addPorts(PublishedPort.newBuilder().setPort(80))))
            .getAddress());
  }

  @Test
  void aPoolThatIsSomebodysNetworkIsNotUsed() {
    assertEquals(Optional.empty(), node.call(() -> networks.problem()));
    node.shell("ip route add 10.213.0.128/25 via 192.0.2.1");
    RejectedException refused = refusal("guest", spec(routed -> {}));
    assertEquals(ErrorReason.ROUTING_UNAVAILABLE, refused.reason());
    assertTrue(refused.sentence().contains("10.213.0.128/25 by eth0"), refused.sentence());
    assertTrue(node.call(() -> networks.problem()).isPresent());
  }

  @Test
  void norOneThatAnotherWorkerHas() {
    start("guest");
    RoutedNetworks other =
        new RoutedNetworks(
            new AddressPool(POOL, state.resolve("other")),
            new NodePorts(PortSockets.BOUND),
            "vireo_other",
            new NftProgram("nft"),
            new LinuxInterfaces());
    RejectedException refused =
        node.call(() ->
            assertThrows(RejectedException.class, () -> other.assign("x", spec(routed -> {}))));
    assertTrue(refused.sentence().contains("10.213.0.2 by vn0ad50002"), refused.sentence());
    assertEquals("10.213.0.3", assign("second", spec(routed -> {})).getAddress());
  }
}
