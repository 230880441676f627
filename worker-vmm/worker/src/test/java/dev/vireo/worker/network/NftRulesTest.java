package dev.vireo.worker.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.TransportProtocol;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The rules as text, for those who want to read them. */
class NftRulesTest {
  private static final Ipv4Network POOL = Ipv4Network.parse("10.213.0.0/16");

  private final NftRules rules = new NftRules("vireo_t", POOL, POOL.address() + 1);

  private static Guest guest() {
    RoutedNetwork.Builder routed = RoutedNetwork.newBuilder();
    routed.getEgressBuilder().addRulesBuilder().setCidr("0.0.0.0/0");
    routed
        .getEgressBuilder()
        .addRulesBuilder()
        .setCidr("169.254.169.254")
        .setProtocol(TransportProtocol.TCP)
        .addPortsBuilder()
        .setFirst(80);
    routed
        .getEgressBuilder()
        .addRulesBuilder()
        .setDnsName("example.org")
        .addPortsBuilder()
        .setFirst(80)
        .setLast(90);
    NetworkStatus.Builder given =
        NetworkStatus.newBuilder()
            .setAddress("10.213.0.2")
            .setMacAddress("02:00:00:00:00:01")
            .setTap("vn0ad50002");
    given.addPortsBuilder().setPort(80).setNodePort(8080).setNodeAddress("127.0.0.1");
    given
        .addPortsBuilder()
        .setPort(53)
        .setNodePort(53)
        .setNodeAddress("0.0.0.0")
        .setProtocol(TransportProtocol.UDP);
    return new Guest("uid", routed.build(), given.build());
  }

  @Test
  void ofAGuest() {
    assertEquals(
        """
        add chain netdev vireo_t vn0ad50002 { type filter hook ingress device "vn0ad50002" priority -500; policy drop; }
        flush chain netdev vireo_t vn0ad50002
        add rule netdev vireo_t vn0ad50002 ether saddr != 02:00:00:00:00:01 drop
        add rule netdev vireo_t vn0ad50002 arp saddr ether 02:00:00:00:00:01 arp saddr ip 10.213.0.2 arp daddr ip 10.213.0.1 accept
        add rule netdev vireo_t vn0ad50002 ip daddr 127.0.0.0/8 drop
        add rule netdev vireo_t vn0ad50002 ip saddr 10.213.0.2 accept
        add set inet vireo_t names_0ad50002_2 { type ipv4_addr; flags timeout; size 4096; }
        add chain inet vireo_t from_0ad50002
        flush chain inet vireo_t from_0ad50002
        add rule inet vireo_t from_0ad50002 ct state established,related accept
        add rule inet vireo_t from_0ad50002 jump count_begun
        add rule inet vireo_t from_0ad50002 ip daddr 169.254.169.254 meta l4proto tcp th dport { 80 } accept
        add rule inet vireo_t from_0ad50002 ip daddr { 127.0.0.0/8, 169.254.0.0/16, 10.213.0.0/16 } meta l4proto tcp reject with tcp reset
        add rule inet vireo_t from_0ad50002 ip daddr { 127.0.0.0/8, 169.254.0.0/16, 10.213.0.0/16 } reject with icmpx admin-prohibited
        add rule inet vireo_t from_0ad50002 ct status dnat meta l4proto tcp reject with tcp reset
        add rule inet vireo_t from_0ad50002 ct status dnat reject with icmpx admin-prohibited
        add rule inet vireo_t from_0ad50002 ip daddr 0.0.0.0/0 meta l4proto { tcp, udp } accept
        add rule inet vireo_t from_0ad50002 ip daddr 0.0.0.0/0 icmp type echo-request accept
        add rule inet vireo_t from_0ad50002 ip daddr @names_0ad50002_2 meta l4proto { tcp, udp } th dport { 80-90 } accept
        add rule inet vireo_t from_0ad50002 meta l4proto tcp reject with tcp reset
        add rule inet vireo_t from_0ad50002 reject with icmpx admin-prohibited
        add chain inet vireo_t node_0ad50002
        flush chain inet vireo_t node_0ad50002
        add rule inet vireo_t node_0ad50002 ct state established,related accept
        add rule inet vireo_t node_0ad50002 jump count_begun
        add rule inet vireo_t node_0ad50002 ip daddr 10.213.0.1 meta l4proto { tcp, udp } th dport 53 accept
        add rule inet vireo_t node_0ad50002 ip daddr 169.254.169.254 meta l4proto tcp th dport { 80 } accept
        add rule inet vireo_t node_0ad50002 meta l4proto tcp reject with tcp reset
        add rule inet vireo_t node_0ad50002 reject with icmpx admin-prohibited
        add chain inet vireo_t to_0ad50002
        flush chain inet vireo_t to_0ad50002
        add rule inet vireo_t to_0ad50002 ct state established,related accept
        add rule inet vireo_t to_0ad50002 jump count_taken
        add rule inet vireo_t to_0ad50002 ct status dnat tcp dport 80 accept
        add rule inet vireo_t to_0ad50002 ip saddr 10.213.0.0/16 ip saddr != 10.213.0.1 tcp dport 80 accept
        add rule inet vireo_t to_0ad50002 ct status dnat udp dport 53 accept
        add rule inet vireo_t to_0ad50002 ip saddr 10.213.0.0/16 ip saddr != 10.213.0.1 udp dport 53 accept
        add rule inet vireo_t to_0ad50002 drop
        add element inet vireo_t taps { "vn0ad50002" }
        add element inet vireo_t from_guest { "vn0ad50002" : jump from_0ad50002 }
        add element inet vireo_t to_node { "vn0ad50002" : jump node_0ad50002 }
        add element inet vireo_t to_guest { "vn0ad50002" : jump to_0ad50002 }
        add element inet vireo_t published { tcp . 127.0.0.1 . 8080 : 10.213.0.2 . 80 }
        add element inet vireo_t published_anywhere { udp . 53 : 10.213.0.2 . 53 }
        """,
        rules.connect(guest()));
  }

  @Test
  void aGrantReplacesTheOneBefore() {
    assertEquals(
        """
        add element inet vireo_t names_0ad50002_2 { 198.51.100.7 timeout 60s }
        delete element inet vireo_t names_0ad50002_2 { 198.51.100.7 }
        add element inet vireo_t names_0ad50002_2 { 198.51.100.7 timeout 60s }
        """,
        rules.grant(
            guest(),
            2,
            Ipv4Network.parse("198.51.100.7").address(),
            java.time.Duration.ofMinutes(1)));
  }

  @Test
  void whatAPredecessorLeftIsRemovedAndWhatStaysIsNot() {
    String inet =
        """
        table inet vireo_t {
        	set names_0ad50002_2 {
        	}
        	set names_0ad50003_11 {
        	}
        	chain from_0ad50002 {
        	}
        	chain to_0ad50003 {
        	}
        """;
    String netdev = "table netdev vireo_t {\n\tchain vn0ad50004 {\n";
    String text = rules.restore(List.of(guest()), inet, netdev);
    assertTrue(text.contains("delete chain inet vireo_t to_0ad50003\n"), text);
    assertTrue(text.contains("delete set inet vireo_t names_0ad50003_11\n"), text);
    assertTrue(text.contains("delete chain netdev vireo_t vn0ad50004\n"), text);
    assertFalse(text.contains("delete chain inet vireo_t from_0ad50002"), text);
    assertFalse(text.contains("delete set inet vireo_t names_0ad50002_2"), text);
    assertTrue(text.endsWith(rules.connect(guest())), text);
  }
}
