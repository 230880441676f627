package dev.vireo.worker.network;

import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.TransportProtocol;
import dev.vireo.worker.network.NameGrants.NameRule;
import dev.vireo.worker.network.NameGrants.ResolvingGuest;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A microVM with a routed network: what it is to reach, and what it has been given.
 *
 * @param routed checked by the controller
 * @param given its address, interface and ports
 */
record Guest(String uid, RoutedNetwork routed, NetworkStatus given) {
  private static final Ipv4Network EVERYWHERE = new Ipv4Network(0, 0);
  private static final int DNS = 53;
  private static final String LOOPBACK = "127.";

  int address() {
    return Ipv4Network.parse(given.getAddress()).address();
  }

  List<EgressRule> rules() {
    return routed.getEgress().getRulesList();
  }

  /** Whether the resolver at its gateway is open to it. */
  boolean mayResolve() {
    return mayResolveAnyName() || !names().isEmpty();
  }

  /** Who can reach every resolver there is can as well ask ours. */
  private boolean mayResolveAnyName() {
    return rules().stream()
        .filter(rule -> rule.hasCidr() && Ipv4Network.parse(rule.getCidr()).equals(EVERYWHERE))
        .filter(rule -> rule.getProtocol() != TransportProtocol.TCP)
        .anyMatch(rule ->
            rule.getPortsCount() == 0 || rule.getPortsList().stream().anyMatch(Guest::hasDns));
  }

  private static boolean hasDns(PortRange range) {
    return range.getFirst() <= DNS && DNS <= Math.max(range.getFirst(), range.getLast());
  }

  private List<NameRule> names() {
    List<NameRule> names = new ArrayList<>();
    for (int i = 0; i < rules().size(); i++) {
      if (rules().get(i).hasDnsName()) {
        names.add(new NameRule(i, rules().get(i).getDnsName().toLowerCase(Locale.ROOT)));
      }
    }
    return names;
  }

  ResolvingGuest resolving() {
    return new ResolvingGuest(uid, mayResolveAnyName(), names(), networks());
  }

  private List<Ipv4Network> networks() {
    return rules().stream()
        .filter(EgressRule::hasCidr)
        .map(rule -> Ipv4Network.parse(rule.getCidr()))
        .toList();
  }

  /** Whether what is sent to it comes in by an interface of the node's other than a guest's. */
  boolean isForwarded() {
    return !rules().isEmpty()
        || given.getPortsList().stream()
            .anyMatch(port -> !port.getNodeAddress().startsWith(LOOPBACK));
  }
}
