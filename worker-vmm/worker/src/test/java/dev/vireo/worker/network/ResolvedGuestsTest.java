package dev.vireo.worker.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.linux.TapInterface;
import dev.vireo.linux.testing.NetworkNamespace;
import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.worker.network.dns.GuestResolver;
import dev.vireo.worker.time.SystemTime;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.xbill.DNS.ARecord;
import org.xbill.DNS.DClass;
import org.xbill.DNS.Flags;
import org.xbill.DNS.Message;
import org.xbill.DNS.Name;
import org.xbill.DNS.Rcode;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;
import org.xbill.DNS.Type;

/**
 * A guest that may go where a name leads, as a namespace behind a node that is another: from its
 * question to the connection that it makes with the answer.
 */
@Tag("kvm")
class ResolvedGuestsTest {
  private static final Ipv4Network POOL = Ipv4Network.parse("10.213.0.0/24");
  private static final String WEB = "198.51.100.7";
  private static final String OTHER = "203.0.113.9";
  private static final String NAME = "www.example.org";

  private final List<AutoCloseable> open = new ArrayList<>();
  private final NetworkNamespace node = new NetworkNamespace();
  private final Map<String, Integer> events = new ConcurrentHashMap<>();
  private final SystemTime time = new SystemTime();

  @TempDir private Path state;
  private RoutedNetworks networks;
  private GuestResolver resolver;

  /** The node has the addresses of the Internet on an interface that leads nowhere. */
  @BeforeEach
  void connectTheNode() {
    NetworkNamespace internet = new NetworkNamespace();
    open.add(internet);
    String thread = internet.call(() -> Path.of("/proc/thread-self").toRealPath().toString());
    node.shell("ip link add eth0 type veth peer name uplink");
    node.shell("ip link set uplink netns " + thread.substring(thread.lastIndexOf('/') + 1));
    node.shell(
        "ip addr add 192.0.2.2/24 dev eth0 && ip link set eth0 up"
            + " && ip route add default via 192.0.2.1"
            + " && echo 1 > /proc/sys/net/ipv4/ip_forward");
    internet.shell(
        "ip addr add 192.0.2.1/24 dev uplink && ip link set uplink up"
            + " && ip addr add 198.51.100.7/32 dev lo && ip addr add 203.0.113.9/32 dev lo");
    open.add(new TestServer(internet, WEB, 80));
    open.add(new TestServer(internet, WEB, 443));
    open.add(new TestServer(internet, OTHER, 80));
    networks = routedNetworks();
    resolver =
        new GuestResolver(
            new InetSocketAddress(networks.gateway(), 53),
            new InNamespace(),
            POOL,
            ResolvedGuestsTest::lead,
            time,
            event -> events.merge(event, 1, Integer::sum));
    open.add(resolver);
    open.add(time);
  }

  private RoutedNetworks routedNetworks() {
    return new RoutedNetworks(
        new AddressPool(POOL, state.resolve("next")),
        new NodePorts(PortSockets.BOUND),
        "vireo_test",
        new NftProgram("nft"),
        new LinuxInterfaces());
  }

  private Networks withResolver(RoutedNetworks routed) {
    return routed.withResolver(
        ResolvedGuestsTest::lead, time, event -> events.merge(event, 1, Integer::sum));
  }

  /** Rules are the node's: nft is to be run there, and not where the resolver's threads are. */
  private final class InNamespace implements NameGrants {
    @Override
    public Optional<ResolvingGuest> resolving(Inet4Address source) {
      return networks.resolving(source);
    }

    @Override
    public void grant(String uid, int rule, Inet4Address address, Duration forHowLong) {
      node.run(() -> networks.grant(uid, rule, address, forHowLong));
    }
  }

  /** Every name leads to the same place. */
  private static Message lead(Message query) throws IOException {
    Message answer = new Message(query.getHeader().getID());
    answer.getHeader().setFlag(Flags.QR);
    answer.addRecord(query.getQuestion(), Section.QUESTION);
    answer.addRecord(
        new ARecord(
            query.getQuestion().getName(),
            DClass.IN,
            60,
            Ipv4Network.inet(Ipv4Network.parse(WEB).address())),
        Section.ANSWER);
    return answer;
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable one : open.reversed()) {
      one.close();
    }
    node.close();
  }

  private static MicroVmSpec spec(RoutedNetwork.Builder routed) {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder();
    spec.addNetworksBuilder().setId("net0").setRouted(routed);
    return spec.build();
  }

  private TestGuest start(RoutedNetwork.Builder routed) {
    TestGuest guest = start(networks, spec(routed));
    node.run(resolver::listen);
    return guest;
  }

  private TestGuest start(Networks given, MicroVmSpec spec) {
    NetworkStatus status = node.call(() -> given.assign("guest", spec).orElseThrow());
    TapInterface tap = node.call(() -> TapInterface.createNamed(status.getTap(), 1, 0));
    node.run(() -> given.connect("guest"));
    TestGuest guest = new TestGuest(status, tap);
    open.add(guest);
    return guest;
  }

  private Message ask(TestGuest guest, String name) {
    return guest.inside.call(() -> {
      Message query =
          Message.newQuery(Record.newRecord(Name.fromString(name + "."), Type.A, DClass.IN));
      byte[] bytes = query.toWire();
      try (DatagramSocket socket = new DatagramSocket()) {
        socket.setSoTimeout(5_000);
        socket.connect(new InetSocketAddress(guest.given.getGateway(), 53));
        socket.send(new DatagramPacket(bytes, bytes.length));
        DatagramPacket answer = new DatagramPacket(new byte[4096], 4096);
        socket.receive(answer);
        return new Message(Arrays.copyOf(answer.getData(), answer.getLength()));
      }
    });
  }

  private static RoutedNetwork.Builder toName() {
    RoutedNetwork.Builder routed = RoutedNetwork.newBuilder();
    routed
        .getEgressBuilder()
        .addRules(
            EgressRule.newBuilder().setDnsName(NAME).addPorts(PortRange.newBuilder().setFirst(80)));
    return routed;
  }

  @Test
  void aNameLeadsThereOnceItWasAskedForAndNowhereElse() {
    RoutedNetwork.Builder routed = RoutedNetwork.newBuilder();
    routed
        .getEgressBuilder()
        .addRules(
            EgressRule.newBuilder().setDnsName(NAME).addPorts(PortRange.newBuilder().setFirst(80)));
    TestGuest guest = start(routed);
    assertEquals("refused", guest.connect(WEB, 80), "nobody has asked yet");

    Message answer = ask(guest, NAME);

    assertEquals(WEB, answer.getSection(Section.ANSWER).getFirst().rdataToString());
    assertEquals("open", guest.connect(WEB, 80));
    assertEquals("refused", guest.connect(WEB, 443), "by the rule's ports alone");
    assertEquals("refused", guest.connect(OTHER, 80));

    assertEquals(Rcode.NXDOMAIN, ask(guest, "other.example.org").getRcode());
    assertEquals(Map.of("queries", 2, "queries_prohibited", 1), events);
  }

  @Test
  void aGuestWithoutEgressDoesNotReachTheResolver() {
    TestGuest guest = start(RoutedNetwork.newBuilder());
    assertThrows(AssertionError.class, () -> ask(guest, NAME));
    assertEquals("refused", guest.connect(guest.given.getGateway(), 53));
    assertEquals(Map.of(), events);
  }

  @Test
  void theResolverIsThereFromTheFirstGuestOnAndWithAWorkersSuccessor() {
    Networks first = withResolver(networks);
    TestGuest guest = start(first, spec(toName()));
    assertEquals(Rcode.NXDOMAIN, ask(guest, "other.example.org").getRcode());
    node.run(first::close);

    RoutedNetworks successor = routedNetworks();
    Networks second = withResolver(successor);
    node.run(() -> {
      second.takeBack("guest", spec(toName()), guest.given, true);
      second.restore();
    });
    open.add(second);
    assertEquals(Rcode.NXDOMAIN, ask(guest, "other.example.org").getRcode());
  }
}
