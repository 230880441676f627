package dev.vireo.cli;

import dev.vireo.proto.v1.Egress;
import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.TransportProtocol;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** A network for which the node routes: what the guest may reach, and where it is reached. */
final class RoutedNetworkOptions {
  private static final String EVERYWHERE = "0.0.0.0/0";

  @Option(
      names = "--egress",
      paramLabel = EgressForm.LABEL,
      converter = EgressForm.class,
      description =
          "With --image: a network, and what the guest may reach by it: none, all of IPv4, an"
              + " address or CIDR, or a DNS name (*.example.org for those below it). Link-local"
              + " addresses, the node and other microVMs are not part of all. PORTS: 443, 80-90, or"
              + " several with + between. Repeatable.")
  private List<Egress> egress = new ArrayList<>();

  @Option(
      names = {"-p", "--publish"},
      paramLabel = PublishForm.LABEL,
      converter = PublishForm.class,
      description =
          "With --image: a network, and a port of the guest that is reached at one of the node;"
              + " without NODEPORT the node chooses one, which 'vireo get' names. ADDRESS: of the node,"
              + " 0.0.0.0 for all; default: 127.0.0.1. Repeatable.")
  private List<PublishedPort> published = new ArrayList<>();

  /** The network that is asked for, without an id. */
  Optional<Network> network() {
    if (egress.isEmpty() && published.isEmpty()) {
      return Optional.empty();
    }
    RoutedNetwork.Builder routed = RoutedNetwork.newBuilder().addAllPorts(published);
    egress.forEach(allowed -> routed.getEgressBuilder().mergeFrom(allowed));
    return Optional.of(Network.newBuilder().setRouted(routed).build());
  }

  private static int port(String text) {
    return Integer.parseInt(text);
  }

  private static TransportProtocol protocol(String text) {
    return text.equals("udp") ? TransportProtocol.UDP : TransportProtocol.TCP;
  }

  /** {@code none}, {@code all}, {@code 10.0.0.0/8:80+8000-8100/tcp}, {@code *.example.org:443}. */
  static final class EgressForm implements ITypeConverter<Egress> {
    static final String LABEL = "none|(all|CIDR|NAME)[:PORTS][/tcp|udp]";

    private static final Pattern FORM =
        Pattern.compile(
            "(?<to>[^:/]+(?:/\\d{1,2})?)"
                + "(?::(?<ports>\\d{1,5}(?:-\\d{1,5})?(?:\\+\\d{1,5}(?:-\\d{1,5})?)*))?"
                + "(?:/(?<protocol>tcp|udp))?");

    private static final Pattern CIDR = Pattern.compile("[0-9.]+(/\\d{1,2})?");

    @Override
    public Egress convert(String text) {
      if (text.equals("none")) {
        return Egress.getDefaultInstance();
      }
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'%s' is nothing to reach; write %s".formatted(text, LABEL));
      }
      EgressRule.Builder rule = EgressRule.newBuilder();
      String to = matcher.group("to");
      if (to.equals("all")) {
        rule.setCidr(EVERYWHERE);
      } else if (CIDR.matcher(to).matches()) {
        rule.setCidr(to);
      } else {
        rule.setDnsName(to);
      }
      if (matcher.group("ports") != null) {
        for (String range : matcher.group("ports").split("\\+", -1)) {
          rule.addPorts(range(range));
        }
      }
      if (matcher.group("protocol") != null) {
        rule.setProtocol(protocol(matcher.group("protocol")));
      }
      return Egress.newBuilder().addRules(rule).build();
    }

    private static PortRange range(String text) {
      String[] ends = text.split("-", -1);
      PortRange.Builder range = PortRange.newBuilder().setFirst(port(ends[0]));
      if (ends.length > 1) {
        range.setLast(port(ends[1]));
      }
      return range.build();
    }
  }

  /** {@code 8080:80}, {@code 0.0.0.0:8080:80}, {@code 53:53/udp}, {@code 80}. */
  static final class PublishForm implements ITypeConverter<PublishedPort> {
    static final String LABEL = "[[ADDRESS:]NODEPORT:]PORT[/tcp|udp]";

    private static final Pattern FORM =
        Pattern.compile(
            "(?:(?:(?<address>\\d+(?:\\.\\d+){3}):)?(?<node>\\d{1,5}):)?(?<port>\\d{1,5})(?:/(?<protocol>tcp|udp))?");

    @Override
    public PublishedPort convert(String text) {
      Matcher matcher = FORM.matcher(text);
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'%s' is no port to publish; write %s, as 8080:80".formatted(text, LABEL));
      }
      PublishedPort.Builder port = PublishedPort.newBuilder().setPort(port(matcher.group("port")));
      if (matcher.group("address") != null) {
        port.setNodeAddress(matcher.group("address"));
      }
      if (matcher.group("node") != null) {
        port.setNodePort(port(matcher.group("node")));
      }
      if (matcher.group("protocol") != null) {
        port.setProtocol(protocol(matcher.group("protocol")));
      }
      return port.build();
    }
  }
}
