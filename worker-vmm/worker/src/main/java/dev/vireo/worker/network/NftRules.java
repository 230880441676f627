package dev.vireo.worker.network;

import static java.util.stream.Collectors.toSet;

import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * A worker's rules for its guests, as text for nft(8): two tables of its own, {@code inet} for what
 * is routed and {@code netdev} for what comes out of an interface, before anything else sees it.
 *
 * <p>All of a guest's is in chains that have its address in hexadecimal in their name, reached from
 * the shared ones by maps of interfaces. Each text can be applied again, and to what another one
 * has left: what is made may be there, what is removed need not.
 */
final class NftRules {
  static final Ipv4Network LINK_LOCAL = Ipv4Network.parse("169.254.0.0/16");
  static final Ipv4Network LOOPBACK = Ipv4Network.parse("127.0.0.0/8");
  static final String INET = "inet";
  static final String NETDEV = "netdev";

  private static final String TAP_PREFIX = "vn";
  private static final List<String> COUNTED = List.of("begun", "taken");
  private static final String REPLIES = "ct state established,related accept";
  private static final int MOST_GRANTS = 4096;

  /**
   * Of one guest, begun by it and begun by others, each: so much of the node's conntrack table,
   * which has room for 65,536 and more, and which all share. Connections that were lost count for
   * as long as the kernel remembers them; those of TCP that were closed do not, though it does.
   */
  static final int MOST_CONNECTIONS = 4096;

  /** Of sets by guests' addresses. */
  private static final int MOST_GUESTS = 1 << 16;

  /** Of one guest, in a listing. */
  private static final Pattern CHAIN =
      Pattern.compile("\\bchain (?:from_|node_|to_|vn)([0-9a-f]{8}) \\{");

  private static final Pattern NAMES = Pattern.compile("\\bset (names_([0-9a-f]{8})_\\d+) \\{");

  private final String table;
  private final Ipv4Network pool;
  private final String gateway;

  /**
   * @param table the name of both tables: this worker's alone
   * @param pool of all its guests' addresses, and of their gateway
   */
  NftRules(String table, Ipv4Network pool, int gateway) {
    this.table = table;
    this.pool = pool;
    this.gateway = Ipv4Network.text(gateway);
  }

  String table() {
    return table;
  }

  /** The interface of the guest with this address: nobody else's, for as long as it is here. */
  static String tapName(int address) {
    return TAP_PREFIX + hex(address);
  }

  /** Whether it is a guest's, of any worker. */
  static boolean isTapName(String device) {
    return device.matches(TAP_PREFIX + "[0-9a-f]{8}");
  }

  private static String hex(int address) {
    return "%08x".formatted(address);
  }

  /** What all guests share, without any. Grants and maps stay as they are. */
  String shared() {
    Text text = new Text();
    text.inet("add table %t");
    text.netdev("add table %t");
    text.inet("add set %t taps { type ifname; }");
    text.inet("add map %t from_guest { type ifname : verdict; }");
    text.inet("add map %t to_node { type ifname : verdict; }");
    text.inet("add map %t to_guest { type ifname : verdict; }");
    text.inet(
        "add map %t published { type inet_proto . ipv4_addr . inet_service : ipv4_addr ."
            + " inet_service; }");
    text.inet(
        "add map %t published_anywhere { type inet_proto . inet_service : ipv4_addr ."
            + " inet_service; }");
    for (String set : COUNTED) {
      text.inet(
          "add set %%t %s { type ipv4_addr; flags dynamic; size %d; }".formatted(set, MOST_GUESTS));
    }
    text.chain("too_many", "", refusing(""));
    // Once for each packet, or the kernel counts a connection twice: it is not in its table yet.
    String over = "ct count over " + MOST_CONNECTIONS;
    text.chain("count_begun", "", "add @begun { ip saddr %s } goto too_many".formatted(over));
    text.chain("count_taken", "", "add @taken { ip daddr %s } drop".formatted(over));
    // What a guest sends to others. Those of its pool that have no rules of their own: nothing.
    text.chain(
        "forwarded",
        "type filter hook forward priority -10; policy accept;",
        "iifname vmap @from_guest",
        "ip saddr " + pool + " drop");
    text.chain(
        "received",
        "type filter hook input priority -10; policy accept;",
        "iifname vmap @to_node",
        "iifname != \"lo\" ip saddr " + pool + " drop");
    // Behind routing: what the node itself sends to a published port knows its interface here only.
    text.chain(
        "delivered",
        "type filter hook postrouting priority -10; policy accept;",
        "oifname vmap @to_guest");
    String publish = "dnat ip to meta l4proto . ip daddr . th dport map @published";
    String anywhere = "dnat ip to meta l4proto . th dport map @published_anywhere";
    String local = "fib daddr type local meta l4proto { tcp, udp } ";
    text.chain(
        "published_to_others",
        "type nat hook prerouting priority -100; policy accept;",
        // A neighbour may send that. Routing would have dropped it, but comes after this.
        "ip daddr " + LOOPBACK + " return",
        local + publish,
        local + anywhere);
    text.chain(
        "published_to_node",
        "type nat hook output priority -100; policy accept;",
        local + publish,
        local + anywhere);
    text.chain(
        "masqueraded",
        "type nat hook postrouting priority 100; policy accept;",
        "ip saddr %s ip daddr != %s masquerade".formatted(pool, pool),
        "oifname @taps ip saddr " + LOOPBACK + " masquerade");
    return text.toString();
  }

  /** All of a guest's, whose interface exists. {@link #shared} is there, or before this. */
  String connect(Guest guest) {
    String hex = hex(guest.address());
    String tap = tapName(guest.address());
    Text text = new Text();
    source(text, guest, tap);
    for (int i = 0; i < guest.rules().size(); i++) {
      if (guest.rules().get(i).hasDnsName()) {
        text.inet(
            "add set %%t %s { type ipv4_addr; flags timeout; size %d; }"
                .formatted(names(hex, i), MOST_GRANTS));
      }
    }
    text.chain("from_" + hex, "", toOthers(guest, hex));
    text.chain("node_" + hex, "", toNode(guest));
    text.chain("to_" + hex, "", toGuest(guest));
    text.element("taps", "\"" + tap + "\"");
    text.element("from_guest", "\"%s\" : jump from_%s".formatted(tap, hex));
    text.element("to_node", "\"%s\" : jump node_%s".formatted(tap, hex));
    text.element("to_guest", "\"%s\" : jump to_%s".formatted(tap, hex));
    guest.given().getPortsList().forEach(port -> text.element(map(port), mapping(port, guest)));
    return text.toString();
  }

  /**
   * What may come out of the interface at all: its own Ethernet and IPv4 address, and questions for
   * the gateway's. No IPv6, no VLANs, nothing for the node's loopback, which the route back from a
   * published port would let in.
   */
  private void source(Text text, Guest guest, String tap) {
    String mac = guest.given().getMacAddress();
    String address = guest.given().getAddress();
    text.netdev(
        "add chain %%t %s { type filter hook ingress device \"%s\" priority -500; policy drop; }"
            .formatted(tap, tap));
    text.netdev("flush chain %t " + tap);
    for (String rule :
        List.of(
            "ether saddr != " + mac + " drop",
            "arp saddr ether %s arp saddr ip %s arp daddr ip %s accept"
                .formatted(mac, address, gateway),
            "ip daddr " + LOOPBACK + " drop",
            "ip saddr " + address + " accept")) {
      text.netdev("add rule %%t %s %s".formatted(tap, rule));
    }
  }

  /** Narrow rules come before what broad ones do not include. */
  private List<String> toOthers(Guest guest, String hex) {
    List<String> narrow = new ArrayList<>();
    List<String> broad = new ArrayList<>();
    for (int i = 0; i < guest.rules().size(); i++) {
      EgressRule rule = guest.rules().get(i);
      if (rule.hasDnsName()) {
        broad.addAll(accepting("ip daddr @" + names(hex, i), rule));
      } else if (rule.hasCidr()) {
        Ipv4Network network = Ipv4Network.parse(rule.getCidr());
        boolean isNarrow = network.liesWithin(LINK_LOCAL) || network.liesWithin(pool);
        (isNarrow ? narrow : broad).addAll(accepting("ip daddr " + network, rule));
      }
    }
    List<String> all = new ArrayList<>(List.of(REPLIES, "jump count_begun"));
    all.addAll(narrow);
    all.addAll(refusing("ip daddr { %s, %s, %s } ".formatted(LOOPBACK, LINK_LOCAL, pool)));
    // It was an address of the node that the guest had named.
    all.addAll(refusing("ct status dnat "));
    all.addAll(broad);
    all.addAll(refusing(""));
    return all;
  }

  /** At once, so that nobody waits for it; of ICMP the kernel sends a few a second only. */
  private static List<String> refusing(String what) {
    return List.of(
        what + "meta l4proto tcp reject with tcp reset",
        what + "reject with icmpx admin-prohibited");
  }

  private List<String> toNode(Guest guest) {
    List<String> all = new ArrayList<>(List.of(REPLIES, "jump count_begun"));
    if (guest.mayResolve()) {
      all.add("ip daddr %s meta l4proto { tcp, udp } th dport 53 accept".formatted(gateway));
    }
    for (EgressRule rule : guest.rules()) {
      if (rule.hasCidr() && Ipv4Network.parse(rule.getCidr()).isHost()) {
        all.addAll(accepting("ip daddr " + Ipv4Network.parse(rule.getCidr()), rule));
      }
    }
    all.addAll(refusing(""));
    return all;
  }

  /** Other guests have the address of the guest itself, if their own rules let them. */
  private List<String> toGuest(Guest guest) {
    List<String> all = new ArrayList<>(List.of(REPLIES, "jump count_taken"));
    for (PublishedPort port : guest.given().getPortsList()) {
      String at = "%s dport %d accept".formatted(protocol(port), port.getPort());
      all.add("ct status dnat " + at);
      all.add("ip saddr %s ip saddr != %s %s".formatted(pool, gateway, at));
    }
    all.add("drop");
    return all;
  }

  private static List<String> accepting(String destination, EgressRule rule) {
    String protocols =
        switch (rule.getProtocol()) {
          case TCP -> "tcp";
          case UDP -> "udp";
          case TRANSPORT_PROTOCOL_UNSPECIFIED, UNRECOGNIZED -> "{ tcp, udp }";
        };
    String transport = "%s meta l4proto %s".formatted(destination, protocols);
    if (rule.getPortsCount() > 0) {
      String ports =
          rule.getPortsList().stream().map(NftRules::ports).collect(Collectors.joining(", "));
      return List.of("%s th dport { %s } accept".formatted(transport, ports));
    }
    return rule.getProtocol() == TransportProtocol.TRANSPORT_PROTOCOL_UNSPECIFIED
        ? List.of(transport + " accept", destination + " icmp type echo-request accept")
        : List.of(transport + " accept");
  }

  private static String ports(PortRange range) {
    return range.getLast() == 0 || range.getLast() == range.getFirst()
        ? Integer.toString(range.getFirst())
        : range.getFirst() + "-" + range.getLast();
  }

  private static String protocol(PublishedPort port) {
    return port.getProtocol() == TransportProtocol.UDP ? "udp" : "tcp";
  }

  private static String map(PublishedPort port) {
    return port.getNodeAddress().equals(NodePorts.ANY_ADDRESS) ? "published_anywhere" : "published";
  }

  private static String key(PublishedPort port) {
    return port.getNodeAddress().equals(NodePorts.ANY_ADDRESS)
        ? "%s . %d".formatted(protocol(port), port.getNodePort())
        : "%s . %s . %d".formatted(protocol(port), port.getNodeAddress(), port.getNodePort());
  }

  private static String mapping(PublishedPort port, Guest guest) {
    return "%s : %s . %d".formatted(key(port), guest.given().getAddress(), port.getPort());
  }

  /** Nothing of this guest, which has no interface any more. */
  String disconnect(Guest guest) {
    Text text = new Text();
    for (PublishedPort port : guest.given().getPortsList()) {
      text.element(map(port), mapping(port, guest));
      text.inet("delete element %%t %s { %s }".formatted(map(port), key(port)));
    }
    String hex = hex(guest.address());
    forgetChains(text, hex);
    for (int i = 0; i < guest.rules().size(); i++) {
      text.inet(
          "add set %%t %s { type ipv4_addr; flags timeout; size %d; }"
              .formatted(names(hex, i), MOST_GRANTS));
      text.inet("delete set %t " + names(hex, i));
    }
    return text.toString();
  }

  private void forgetChains(Text text, String hex) {
    String tap = TAP_PREFIX + hex;
    String address = Ipv4Network.text(Integer.parseUnsignedInt(hex, 16));
    for (String set : COUNTED) {
      text.element(set, "%s ct count over %d".formatted(address, MOST_CONNECTIONS));
      text.inet("delete element %%t %s { %s }".formatted(set, address));
    }
    text.element("taps", "\"" + tap + "\"");
    text.inet("delete element %t taps { \"" + tap + "\" }");
    for (String[] entry :
        new String[][] {{"from_guest", "from_"}, {"to_node", "node_"}, {"to_guest", "to_"}}) {
      String chain = entry[1] + hex;
      text.inet("add chain %t " + chain);
      text.element(entry[0], "\"%s\" : jump %s".formatted(tap, chain));
      text.inet("delete element %%t %s { \"%s\" }".formatted(entry[0], tap));
      text.inet("flush chain %t " + chain);
      text.inet("delete chain %t " + chain);
    }
    text.netdev("add chain %t " + tap);
    text.netdev("delete chain %t " + tap);
  }

  /**
   * Makes the tables be these guests' alone: what else a predecessor has left there is removed.
   * Grants of those that stay, stay.
   *
   * @param inet what there is by now, as nft lists it
   * @param netdev the same of the other table
   */
  String restore(Collection<Guest> guests, String inet, String netdev) {
    Set<String> staying = guests.stream().map(guest -> hex(guest.address())).collect(toSet());
    Text text = new Text();
    text.lines.append(shared());
    text.inet("flush map %t published");
    text.inet("flush map %t published_anywhere");
    Set<String> leaving = new TreeSet<>();
    CHAIN.matcher(inet + "\n" + netdev).results().forEach(chain -> leaving.add(chain.group(1)));
    leaving.removeAll(staying);
    leaving.forEach(hex -> forgetChains(text, hex));
    NAMES
        .matcher(inet)
        .results()
        .filter(set -> leaving.contains(set.group(2)))
        .forEach(set -> text.inet("delete set %t " + set.group(1)));
    guests.forEach(guest -> text.lines.append(connect(guest)));
    return text.toString();
  }

  /** Both tables with all that is in them. */
  String removeAll() {
    Text text = new Text();
    text.inet("add table %t");
    text.inet("delete table %t");
    text.netdev("add table %t");
    text.netdev("delete table %t");
    return text.toString();
  }

  /** Lets a guest reach an address by one of its names' rules, from now on for so long. */
  String grant(Guest guest, int rule, int address, Duration forHowLong) {
    String set = names(hex(guest.address()), rule);
    String element = Ipv4Network.text(address);
    String lasting = "%s timeout %ds".formatted(element, Math.max(1, forHowLong.toSeconds()));
    Text text = new Text();
    // An element that is there keeps the time that it has.
    text.element(set, lasting);
    text.inet("delete element %%t %s { %s }".formatted(set, element));
    text.element(set, lasting);
    return text.toString();
  }

  private static String names(String hex, int rule) {
    return "names_%s_%d".formatted(hex, rule);
  }

  /** Statements, a line each. */
  private final class Text {
    private final StringBuilder lines = new StringBuilder();

    private void statement(String family, String statement) {
      lines.append(statement.replace("%t", family + " " + table)).append('\n');
    }

    void inet(String statement) {
      statement(INET, statement);
    }

    void netdev(String statement) {
      statement(NETDEV, statement);
    }

    /** With these rules and no others. */
    void chain(String name, String hook, List<String> rules) {
      inet("add chain %t " + name + (hook.isEmpty() ? "" : " { " + hook + " }"));
      inet("flush chain %t " + name);
      rules.forEach(rule -> inet("add rule %t " + name + " " + rule));
    }

    void chain(String name, String hook, String... rules) {
      chain(name, hook, List.of(rules));
    }

    void element(String set, String element) {
      inet("add element %%t %s { %s }".formatted(set, element));
    }

    @Override
    public String toString() {
      return lines.toString();
    }
  }
}
