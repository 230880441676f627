package dev.vireo.controller.api;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.TransportProtocol;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What can be said of a routed network by looking at its spec alone: what it may reach, and where
 * it is reached.
 */
final class RoutedNetworkValidator {
  static final int MAX_RULES = 64;
  static final int MAX_PORT_RANGES = 16;
  static final int MAX_PUBLISHED_PORTS = 32;

  private static final int MAX_NAME_BYTES = 253;
  private static final String LOCAL = "127.0.0.1";

  /** All addresses of a node. */
  private static final String ALL = "0.0.0.0";

  private static final String BYTE = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  private static final String ADDRESS_FORM = BYTE + "(?:\\." + BYTE + "){3}";
  private static final Pattern ADDRESS = Pattern.compile(ADDRESS_FORM);
  private static final Pattern CIDR =
      Pattern.compile("(?<address>" + ADDRESS_FORM + ")(?:/(?<length>3[0-2]|[12]?\\d))?");

  private static final String LABEL = "[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?";

  /** The last label is none that could be an address' last byte. */
  private static final Pattern DNS_NAME =
      Pattern.compile("(\\*\\.)?(" + LABEL + "\\.)*(?!\\d+$)" + LABEL);

  private final Violations violations;

  /** The addresses that are taken, by protocol and port of the node. */
  private final Map<String, Set<String>> taken = new HashMap<>();

  private RoutedNetworkValidator(Violations violations) {
    this.violations = violations;
  }

  static void validate(MicroVmSpec spec, Violations violations) {
    RoutedNetworkValidator validator = new RoutedNetworkValidator(violations);
    int routed = 0;
    for (int i = 0; i < spec.getNetworksCount(); i++) {
      Network network = spec.getNetworks(i);
      if (network.hasRouted()) {
        String field = "spec.networks[%d]".formatted(i);
        validator.validatePlace(spec, network, field, ++routed);
        validator.validateEgress(
            network.getRouted().getEgress().getRulesList(), field + ".routed.egress.rules");
        validator.validatePorts(network.getRouted().getPortsList(), field + ".routed.ports");
      }
    }
  }

  private void validatePlace(MicroVmSpec spec, Network network, String field, int count) {
    if (!spec.hasContainer()) {
      violations.add(
          field + ".routed",
          ErrorReason.FIELD_UNSUPPORTED,
          "needs a container, whose init process configures the guest; without one leave it out and"
              + " configure the interface yourself.");
    }
    if (count > 1) {
      violations.add(
          field + ".routed",
          ErrorReason.FIELD_UNSUPPORTED,
          "is the second one; a microVM has one routed network.");
    }
    violations.invalidIf(
        !network.getTap().isEmpty(), field + ".tap", "is named, and a routed network's is made.");
  }

  private void validateEgress(List<EgressRule> rules, String field) {
    violations.invalidIf(
        rules.size() > MAX_RULES, field, "has %d entries; at most %d.", rules.size(), MAX_RULES);
    for (int i = 0; i < rules.size(); i++) {
      validateRule(rules.get(i), "%s[%d]".formatted(field, i));
    }
  }

  private void validateRule(EgressRule rule, String field) {
    switch (rule.getDestinationCase()) {
      case CIDR -> validateCidr(rule.getCidr(), field + ".cidr");
      case DNS_NAME ->
          violations.invalidIf(
              rule.getDnsName().length() > MAX_NAME_BYTES
                  || !DNS_NAME.matcher(rule.getDnsName()).matches(),
              field + ".dns_name",
              "must be a DNS name, such as \"example.org\", or \"*.example.org\" for those below it.");
      case DESTINATION_NOT_SET -> violations.required(field + ".cidr");
    }
    validateProtocol(rule.getProtocol(), field + ".protocol");
    violations.invalidIf(
        rule.getPortsCount() > MAX_PORT_RANGES,
        field + ".ports",
        "has %d entries; at most %d.",
        rule.getPortsCount(),
        MAX_PORT_RANGES);
    for (PortRange range : rule.getPortsList()) {
      long first = Integer.toUnsignedLong(range.getFirst());
      long last = range.getLast() == 0 ? first : Integer.toUnsignedLong(range.getLast());
      violations.invalidIf(
          first < 1 || first > last || last > FieldRules.MAX_PORT,
          field + ".ports",
          "has %d to %d; 1 to %d, the lower one first.",
          first,
          last,
          FieldRules.MAX_PORT);
    }
  }

  private void validateCidr(String cidr, String field) {
    Matcher matcher = CIDR.matcher(cidr);
    if (!matcher.matches()) {
      violations.invalid(
          field, "must be an IPv4 address or network, such as \"192.0.2.7\" or \"10.1.0.0/16\".");
      return;
    }
    int length = matcher.group("length") == null ? 32 : Integer.parseInt(matcher.group("length"));
    long address = 0;
    for (String part : matcher.group("address").split("\\.", -1)) {
      address = address << 8 | Integer.parseInt(part);
    }
    violations.invalidIf(
        (address & 0xffff_ffffL >>> length) != 0,
        field,
        "has bits beyond its /%d; write the network's own address.",
        length);
  }

  private void validateProtocol(TransportProtocol protocol, String field) {
    violations.invalidIf(protocol == TransportProtocol.UNRECOGNIZED, field, "is none of TCP, UDP.");
  }

  private void validatePorts(List<PublishedPort> ports, String field) {
    violations.invalidIf(
        ports.size() > MAX_PUBLISHED_PORTS,
        field,
        "has %d entries; at most %d.",
        ports.size(),
        MAX_PUBLISHED_PORTS);
    for (int i = 0; i < ports.size(); i++) {
      validatePort(ports.get(i), "%s[%d]".formatted(field, i));
    }
  }

  private void validatePort(PublishedPort port, String field) {
    FieldRules.port(field + ".port", port.getPort(), violations);
    FieldRules.portOrNone(field + ".node_port", port.getNodePort(), violations);
    String address = port.getNodeAddress();
    violations.invalidIf(
        !address.isEmpty() && !ADDRESS.matcher(address).matches(),
        field + ".node_address",
        "must be an IPv4 address of the node, or \"0.0.0.0\" for all of them.");
    validateProtocol(port.getProtocol(), field + ".protocol");
    boolean isUdp = port.getProtocol() == TransportProtocol.UDP;
    String place =
        "%s %d".formatted(isUdp ? "udp" : "tcp", Integer.toUnsignedLong(port.getNodePort()));
    violations.invalidIf(
        port.getNodePort() != 0 && !take(place, address.isEmpty() ? LOCAL : address),
        field + ".node_port",
        "is that of another port at the same address.");
  }

  private boolean take(String place, String address) {
    Set<String> others = taken.computeIfAbsent(place, _ -> new HashSet<>());
    boolean free = others.isEmpty() || !(address.equals(ALL) || others.contains(ALL));
    return others.add(address) && free;
  }
}
