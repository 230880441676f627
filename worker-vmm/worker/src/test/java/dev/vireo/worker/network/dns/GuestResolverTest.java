package dev.vireo.worker.network.dns;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.worker.network.Ipv4Network;
import dev.vireo.worker.time.ManualTime;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.xbill.DNS.DClass;
import org.xbill.DNS.EDNSOption;
import org.xbill.DNS.ExtendedErrorCodeOption;
import org.xbill.DNS.Flags;
import org.xbill.DNS.Message;
import org.xbill.DNS.Name;
import org.xbill.DNS.OPTRecord;
import org.xbill.DNS.Opcode;
import org.xbill.DNS.Rcode;
import org.xbill.DNS.Record;
import org.xbill.DNS.Section;
import org.xbill.DNS.SimpleResolver;
import org.xbill.DNS.Type;

/**
 * The resolver on this host's loopback interface, between a client as guests have them and a
 * resolver of the test's.
 */
class GuestResolverTest {
  private static final Duration UPSTREAM_TIMEOUT = Duration.ofSeconds(20);
  private static final String OF_NODE = "198.51.100.1";

  private final ManualTime time = new ManualTime();
  private final FakeGuests guests = new FakeGuests();
  private final Map<String, Integer> events = new ConcurrentHashMap<>();
  private FakeUpstream upstream;
  private GuestResolver resolver;

  @BeforeEach
  void listen() throws IOException {
    upstream = new FakeUpstream();
    resolver = resolver(UPSTREAM_TIMEOUT);
  }

  private GuestResolver resolver(Duration timeout) throws IOException {
    GuestResolver made =
        new GuestResolver(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
            guests,
            Ipv4Network.parse("10.99.0.0/16"),
            address -> address.getHostAddress().equals(OF_NODE),
            NodeResolvers.of(List.of(upstream.address()), timeout),
            time,
            event -> events.merge(event, 1, Integer::sum));
    made.listen();
    return made;
  }

  @AfterEach
  void close() {
    resolver.close();
    upstream.close();
  }

  private int count(String event) {
    return events.getOrDefault(event, 0);
  }

  // ---- Names and where they lead. ----

  @Test
  void anAddressIsGrantedBeforeTheGuestHearsOfIt() throws IOException {
    guests.mayReach(2, "example.org");
    upstream.knows("example.org", "example.org 300 A 203.0.113.5");

    Message answer = ask("example.org", Type.A);

    assertEquals(List.of("example.org. 300 A 203.0.113.5"), records(answer));
    assertEquals(List.of("uid-1 rule 2 203.0.113.5 390s"), guests.grants);
    assertTrue(answer.getHeader().getFlag(Flags.RA));
    assertEquals(Rcode.NOERROR, answer.getRcode());
  }

  @Test
  void aliasesAreFollowedToTheAddressesAndWhatIsBesideThemIsLeftOut() throws IOException {
    guests.mayReach(0, "www.example.org");
    upstream.knows(
        "www.example.org",
        "www.example.org 60 CNAME edge.example.net",
        "edge.example.net 20 CNAME a.example.net",
        "a.example.net 5 A 203.0.113.7",
        "a.example.net 5 A 203.0.113.8",
        "elsewhere.example.net 5 A 203.0.113.9");

    assertEquals(
        List.of(
            "www.example.org. 60 CNAME edge.example.net.",
            "edge.example.net. 20 CNAME a.example.net.",
            "a.example.net. 5 A 203.0.113.7",
            "a.example.net. 5 A 203.0.113.8"),
        records(ask("www.example.org", Type.A)));
    assertEquals(
        List.of("uid-1 rule 0 203.0.113.7 120s", "uid-1 rule 0 203.0.113.8 120s"), guests.grants);
  }

  @Test
  void anAnswerIsNotRememberedForLongerThanTheGrant() throws IOException {
    guests.mayReach(0, "example.org");
    upstream.knows("example.org", "example.org 86400 A 203.0.113.5");

    assertEquals(List.of("example.org. 3600 A 203.0.113.5"), records(ask("example.org", Type.A)));
    assertEquals(List.of("uid-1 rule 0 203.0.113.5 3690s"), guests.grants);
  }

  @Test
  void aGrantIsMadeAgainWhenItWouldEndTooSoonOrForANewRun() throws IOException {
    guests.mayReach(0, "example.org");
    upstream.knows("example.org", "example.org 300 A 203.0.113.5");
    ask("example.org", Type.A);
    time.pass(Duration.ofSeconds(30));
    ask("example.org", Type.A);
    assertEquals(1, guests.grants.size());

    time.pass(Duration.ofSeconds(1));
    ask("example.org", Type.A);
    assertEquals(2, guests.grants.size());

    resolver.forget(FakeGuests.UID);
    ask("example.org", Type.A);
    assertEquals(3, guests.grants.size());
  }

  @ParameterizedTest
  @CsvSource({
    "example.org, example.org, true",
    "example.org, EXAMPLE.org, true",
    "example.org, www.example.org, false",
    "example.org, badexample.org, false",
    "*.example.org, www.example.org, true",
    "*.example.org, a.b.Example.org, true",
    "*.example.org, example.org, false",
    "*.example.org, badexample.org, false",
  })
  void rulesNameNamesAndThoseBelow(String rule, String name, boolean isNamed) throws IOException {
    guests.mayReach(0, rule);
    ask(name, Type.A);
    assertEquals(isNamed ? 1 : 0, upstream.asked.size());
    assertEquals(isNamed ? 0 : 1, count("queries_prohibited"));
  }

  @Test
  void everyRuleThatNamesItIsGranted() throws IOException {
    guests.mayReach(1, "*.example.org").mayReach(4, "www.example.org");
    upstream.knows("www.example.org", "www.example.org 60 A 203.0.113.5");
    ask("www.example.org", Type.A);
    assertEquals(
        List.of("uid-1 rule 1 203.0.113.5 150s", "uid-1 rule 4 203.0.113.5 150s"), guests.grants);
  }

  @Test
  void aNameThatNoRuleNamesDoesNotExistAndGoesNowhere() throws IOException {
    guests.mayReach(0, "example.org");
    Message query = query("secret.example.net", Type.A);
    query.addRecord(new OPTRecord(1232, 0, 0), Section.ADDITIONAL);

    Message answer = byUdp(query);

    assertEquals(Rcode.NXDOMAIN, answer.getRcode());
    assertEquals(List.of(), answer.getSection(Section.AUTHORITY), "so that nobody remembers it");
    ExtendedErrorCodeOption why =
        (ExtendedErrorCodeOption)
            answer.getOPT().getOptions(EDNSOption.Code.EDNS_EXTENDED_ERROR).get(0);
    assertEquals(ExtendedErrorCodeOption.PROHIBITED, why.getErrorCode());
    assertEquals(List.of(), upstream.asked);
  }

  @Test
  void whoMayReachTheWholeInternetMayAskForAnyNameWithoutGrants() throws IOException {
    guests.mayAskForAnyName().mayReach("0.0.0.0/0");
    upstream.knows("example.org", "example.org 60 A 203.0.113.5");
    assertEquals(List.of("example.org. 60 A 203.0.113.5"), records(ask("example.org", Type.A)));
    assertEquals(List.of(), guests.grants);
  }

  @Test
  void thereIsNoIpv6AndOtherTypesAreToldWithoutAddresses() throws IOException {
    guests.mayReach(0, "example.org");
    upstream.knows("example.org", Type.AAAA, "example.org 60 AAAA 2001:db8::1");
    upstream.knows("example.org", Type.TXT, "example.org 60 TXT \"v=spf1\"");

    assertEquals(List.of(), records(ask("example.org", Type.AAAA)));
    assertEquals(List.of(), records(ask("example.org", Type.HTTPS)));
    assertEquals(List.of(), upstream.asked);
    assertEquals(List.of("example.org. 60 TXT v=spf1"), records(ask("example.org", Type.TXT)));
    assertEquals(Rcode.NOTIMP, ask("example.org", Type.ANY).getRcode());
  }

  // ---- Where no name leads. ----

  @ParameterizedTest
  @ValueSource(
      strings = {
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "10.99.0.2",
        OF_NODE
      })
  void anAddressWithinIsNeitherGrantedNorTold(String address) throws IOException {
    guests.mayReach(0, "example.org").mayReach("203.0.113.0/24");
    upstream.knows("example.org", "example.org 60 A " + address, "example.org 60 A 203.0.113.5");
    assertEquals(List.of("example.org. 60 A 203.0.113.5"), records(ask("example.org", Type.A)));
    assertEquals(1, guests.grants.size());
    assertEquals(1, count("addresses_stripped"));
  }

  @ParameterizedTest
  @CsvSource({
    "10.1.2.3, 10.0.0.0/8, true",
    "10.1.2.3, 0.0.0.0/0, true",
    "169.254.169.254, 169.254.169.254, true",
    "169.254.169.254, 0.0.0.0/0, false",
    "10.99.0.2, 10.99.0.2, true",
    "10.99.0.2, 10.0.0.0/8, false",
    "198.51.100.1, 198.51.100.1, true",
    "198.51.100.1, 198.51.100.0/24, false",
    "127.0.0.1, 0.0.0.0/0, false",
  })
  void anAddressWithinIsToldIfARuleForAddressesLetsTheGuestThere(
      String address, String network, boolean isTold) throws IOException {
    guests.mayReach(0, "example.org").mayReach(network);
    upstream.knows("example.org", "example.org 60 A " + address);
    assertEquals(isTold ? 1 : 0, records(ask("example.org", Type.A)).size());
    assertEquals(List.of(), guests.grants);
  }

  // ---- What goes wrong. ----

  @Test
  void aResolverThatDoesNotAnswerIsAServerFailure() throws IOException {
    guests.mayReach(0, "example.org");
    CountDownLatch end = new CountDownLatch(1);
    upstream.isSilent(end);
    resolver.close();
    resolver = resolver(Duration.ofMillis(50));
    assertEquals(Rcode.SERVFAIL, ask("example.org", Type.A).getRcode());
    assertEquals(1, count("upstream_failed"));
    end.countDown();
  }

  @Test
  void whatTheNodesResolverSaysIsPassedOn() throws IOException {
    guests.mayReach(0, "*.example.org");
    upstream.fails("refused.example.org", Rcode.REFUSED);
    assertEquals(Rcode.SERVFAIL, ask("refused.example.org", Type.A).getRcode());
    assertEquals(Rcode.NXDOMAIN, ask("nothing.example.org", Type.A).getRcode());
    upstream.knows("empty.example.org");
    Message empty = ask("empty.example.org", Type.A);
    assertEquals(Rcode.NOERROR, empty.getRcode());
    assertEquals(List.of(), records(empty));
  }

  @Test
  void anAddressThatCannotBeGrantedIsNotTold() throws IOException {
    guests.mayReach(0, "example.org").areFull();
    upstream.knows("example.org", "example.org 60 A 203.0.113.5");
    Message answer = ask("example.org", Type.A);
    assertEquals(Rcode.SERVFAIL, answer.getRcode());
    assertEquals(List.of(), records(answer));
    assertEquals(1, count("grants_failed"));
  }

  @Test
  void whatIsNoQuestionIsDropped() throws Exception {
    guests.mayReach(0, "example.org");
    send(new byte[0]);
    send(new byte[] {1, 2, 3});
    byte[] answer = query("example.org", Type.A).toWire();
    answer[2] |= (byte) 0x80;
    send(answer);
    byte[] looped = query("example.org", Type.A).toWire();
    looped[12] = (byte) 0xc0;
    looped[13] = 12;
    send(looped);
    await().until(() -> count("queries_malformed") == 4);
    assertEquals(List.of(), upstream.asked);

    Message notify = query("example.org", Type.A);
    notify.getHeader().setOpcode(Opcode.NOTIFY);
    assertEquals(Rcode.NOTIMP, byUdp(notify).getRcode());
  }

  @Test
  void whoIsNoGuestHasNoAnswer() throws IOException {
    guests.areGone();
    send(query("example.org", Type.A).toWire());
    await().until(() -> count("queries_of_nobody") == 1);
  }

  @Test
  void aGuestsQuestionsAreBounded() throws IOException {
    guests.mayReach(0, "example.org");
    CountDownLatch end = new CountDownLatch(1);
    upstream.isSilent(end);
    for (int i = 0; i < Budgets.MOST_OUTSTANDING + 5; i++) {
      send(query("example.org", Type.A).toWire());
    }
    await().until(() -> count("queries_dropped") == 5);
    await().until(() -> count("queries") == Budgets.MOST_OUTSTANDING);
    end.countDown();
  }

  @Test
  void aGuestsQuestionsArePaced() throws IOException {
    Budgets budgets = new Budgets(time);
    var source = (Inet4Address) InetAddress.getByName("10.99.0.2");
    var other = (Inet4Address) InetAddress.getByName("10.99.0.3");
    for (int i = 0; i < Budgets.BURST; i++) {
      assertTrue(budgets.ask(source));
      budgets.answered(source);
    }
    assertFalse(budgets.ask(source));
    assertTrue(budgets.ask(other), "whatever the first does");
    time.pass(Budgets.INTERVAL);
    assertTrue(budgets.ask(source));
  }

  @Test
  void aGuestsGrantsAreBoundedUntilTheyHaveEnded() throws IOException {
    Grants grants = new Grants(guests, time);
    for (int i = 0; i < Grants.MOST; i++) {
      grants.grant(FakeGuests.UID, 0, address(i), Duration.ofSeconds(60));
    }
    assertThrows(
        IOException.class,
        () -> grants.grant(FakeGuests.UID, 0, address(Grants.MOST), Duration.ofSeconds(60)));
    grants.grant("uid-2", 0, address(0), Duration.ofSeconds(60));

    time.pass(Duration.ofMinutes(3));
    grants.grant(FakeGuests.UID, 0, address(Grants.MOST), Duration.ofSeconds(60));
  }

  private static Inet4Address address(int i) throws IOException {
    return (Inet4Address)
        InetAddress.getByAddress(new byte[] {(byte) 203, 0, (byte) (i >> 8), (byte) i});
  }

  // ---- How. ----

  @Test
  void aLongAnswerGoesByTcp() throws IOException {
    guests.mayReach(0, "example.org");
    String[] records = new String[16];
    for (int i = 0; i < records.length; i++) {
      records[i] = "a-rather-long-name-of-a-host.example.org 60 A 203.0.113." + (i + 1);
    }
    String alias = "example.org 60 CNAME a-rather-long-name-of-a-host.example.org";
    upstream.knows(
        "example.org",
        Stream.concat(Stream.of(alias), Arrays.stream(records)).toArray(String[]::new));
    SimpleResolver plain = new SimpleResolver(resolver.tcpAddress());
    plain.setEDNS(-1);
    plain.setTCP(true);

    assertEquals(17, records(plain.send(query("example.org", Type.A))).size());
  }

  @Test
  void severalQuestionsMayComeOnAConnectionOneOfWhichIsNone() throws IOException {
    guests.mayReach(0, "example.org");
    upstream.knows("example.org", "example.org 60 A 203.0.113.5");
    byte[] question = query("example.org", Type.A).toWire();
    try (Socket socket =
        new Socket(resolver.tcpAddress().getAddress(), resolver.tcpAddress().getPort())) {
      var in = new DataInputStream(socket.getInputStream());
      var out = new DataOutputStream(socket.getOutputStream());
      for (int i = 0; i < 2; i++) {
        out.writeShort(question.length);
        out.write(question);
        assertEquals(1, records(new Message(in.readNBytes(in.readUnsignedShort()))).size());
      }
      out.writeShort(3);
      out.write(new byte[3]);
      assertEquals(-1, in.read());
    }
  }

  // ---- What the tests are made of. ----

  private Message ask(String name, int type) throws IOException {
    return byUdp(query(name, type));
  }

  private Message byUdp(Message query) throws IOException {
    try (DatagramSocket socket = new DatagramSocket()) {
      socket.setSoTimeout((int) UPSTREAM_TIMEOUT.toMillis());
      byte[] bytes = query.toWire();
      socket.send(new DatagramPacket(bytes, bytes.length, resolver.udpAddress()));
      DatagramPacket answer = new DatagramPacket(new byte[4096], 4096);
      socket.receive(answer);
      Message message = new Message(Arrays.copyOf(answer.getData(), answer.getLength()));
      assertEquals(query.getHeader().getID(), message.getHeader().getID());
      return message;
    }
  }

  private void send(byte[] bytes) throws IOException {
    try (DatagramSocket socket = new DatagramSocket()) {
      socket.send(new DatagramPacket(bytes, bytes.length, resolver.udpAddress()));
    }
  }

  private static Message query(String name, int type) throws IOException {
    return Message.newQuery(Record.newRecord(Name.fromString(name + "."), type, DClass.IN));
  }

  /** {@code OWNER TTL TYPE DATA} of each in the answer. */
  private static List<String> records(Message message) {
    return message.getSection(Section.ANSWER).stream()
        .map(record ->
            "%s %d %s %s"
                .formatted(
                    record.getName(),
                    record.getTTL(),
                    Type.string(record.getType()),
                    record.rdataToString()))
        .toList();
  }
}
