package dev.vireo.cli;

import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.NetworkStatus;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.stream.Collectors;

/** A microVM's networks, for people. */
final class NetworkView {
  private NetworkView() {}

  /**
   * Tells of each, with what its node has given it by now.
   *
   * @param field takes a name and a value
   */
  static void print(MicroVm vm, BiConsumer<String, String> field) {
    for (Network network : vm.getSpec().getNetworksList()) {
      if (network.hasRouted()) {
        NetworkStatus given = given(vm, network.getId());
        field.accept("network", routed(network, given));
        field.accept("egress", egress(network.getRouted().getEgress().getRulesList()));
        ports(network, given).forEach(port -> field.accept("published", port(port)));
      } else {
        field.accept("network", bare(network));
      }
    }
  }

  private static NetworkStatus given(MicroVm vm, String id) {
    return vm.getStatus().getNetworksList().stream()
        .filter(status -> status.getId().equals(id))
        .findFirst()
        .orElse(NetworkStatus.getDefaultInstance());
  }

  private static List<PublishedPort> ports(Network network, NetworkStatus given) {
    return given.getPortsCount() > 0 ? given.getPortsList() : network.getRouted().getPortsList();
  }

  private static String bare(Network network) {
    return "%s on %s%s"
        .formatted(
            network.getId(),
            network.getTap().isEmpty() ? "an interface of its own" : network.getTap(),
            network.getMacAddress().isEmpty() ? "" : ", " + network.getMacAddress());
  }

  private static String routed(Network network, NetworkStatus given) {
    return given.getAddress().isEmpty()
        ? network.getId() + ", routed"
        : "%s, %s by %s, %s on %s"
            .formatted(
                network.getId(),
                given.getAddress(),
                given.getGateway(),
                given.getMacAddress(),
                given.getTap());
  }

  private static String egress(List<EgressRule> rules) {
    return rules.isEmpty()
        ? "none"
        : rules.stream().map(NetworkView::rule).collect(Collectors.joining(", "));
  }

  private static String rule(EgressRule rule) {
    String ports =
        rule.getPortsList().stream().map(NetworkView::range).collect(Collectors.joining("+"));
    return (rule.hasDnsName() ? rule.getDnsName() : rule.getCidr())
        + (ports.isEmpty() ? "" : ":" + ports)
        + (rule.getProtocol() == TransportProtocol.TRANSPORT_PROTOCOL_UNSPECIFIED
            ? ""
            : "/" + protocol(rule.getProtocol()));
  }

  private static String range(PortRange range) {
    return range.getLast() == 0
        ? Integer.toString(range.getFirst())
        : range.getFirst() + "-" + range.getLast();
  }

  private static String port(PublishedPort port) {
    return "%s:%s to %d/%s"
        .formatted(
            port.getNodeAddress().isEmpty() ? "127.0.0.1" : port.getNodeAddress(),
            port.getNodePort() == 0 ? "?" : Integer.toString(port.getNodePort()),
            port.getPort(),
            protocol(port.getProtocol()));
  }

  private static String protocol(TransportProtocol protocol) {
    return protocol == TransportProtocol.UDP ? "udp" : "tcp";
  }
}
