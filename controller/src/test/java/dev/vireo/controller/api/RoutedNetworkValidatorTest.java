package dev.vireo.controller.api;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.TransportProtocol;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Each thing that can be wrong in a routed network by itself. */
final class RoutedNetworkValidatorTest {
  private static final String ROUTED = "spec.networks[0].routed";
  private static final String RULE = ROUTED + ".egress.rules[0]";
  private static final String PORT = ROUTED + ".ports[0]";

  private static Map<String, String> wrong(Consumer<MicroVmSpec.Builder> change) {
    MicroVmSpec.Builder spec = MicroVmSpec.newBuilder().setVcpus(1).setMemoryMib(64);
    spec.getContainerBuilder().setImage("busybox");
    change.accept(spec);
    Violations violations = new Violations();
    SpecValidator.validate(spec.build(), violations);
    return violations.isEmpty() ? Map.of() : SpecValidatorTest.fields(violations.toException());
  }

  private static Map<String, String> with(Consumer<RoutedNetwork.Builder> change) {
    return wrong(spec -> change.accept(spec.addNetworksBuilder().setId("net0").getRoutedBuilder()));
  }

  private static Map<String, String> withRule(Consumer<EgressRule.Builder> change) {
    return with(routed -> change.accept(routed.getEgressBuilder().addRulesBuilder()));
  }

  private static Map<String, String> withPort(PublishedPort.Builder port) {
    return with(routed -> routed.addPorts(port));
  }

  private static Map<String, String> invalid(String field) {
    return Map.of(field, "FIELD_INVALID");
  }

  @Test
  void whatIsFine() {
    assertEquals(Map.of(), with(routed -> {}));
    for (String cidr : List.of("0.0.0.0/0", "10.0.0.0/8", "192.0.2.7", "192.0.2.7/32")) {
      assertEquals(Map.of(), withRule(rule -> rule.setCidr(cidr)), cidr);
    }
    for (String name : List.of("example.org", "*.example.org", "a", "_srv.x-1.example.org")) {
      assertEquals(Map.of(), withRule(rule -> rule.setDnsName(name)), name);
    }
    assertEquals(
        Map.of(),
        withRule(rule ->
            rule.setCidr("10.0.0.0/8")
                .setProtocol(TransportProtocol.UDP)
                .addPorts(PortRange.newBuilder().setFirst(1).setLast(65_535))
                .addPorts(PortRange.newBuilder().setFirst(53))));
    assertEquals(
        Map.of(),
        with(routed -> {
          routed.addPortsBuilder().setPort(80);
          routed.addPortsBuilder().setPort(80);
          routed.addPortsBuilder().setPort(80).setNodePort(80).setNodeAddress("0.0.0.0");
          routed.addPortsBuilder().setPort(53).setNodePort(80).setProtocol(TransportProtocol.UDP);
        }));
  }

  @Test
  void whereItIsNotPossible() {
    assertEquals(
        Map.of(ROUTED, "FIELD_UNSUPPORTED"),
        wrong(spec -> {
          spec.clearContainer().getBootBuilder().setKernel("debian-12");
          spec.addNetworksBuilder().setId("net0").getRoutedBuilder();
        }));
    assertEquals(
        Map.of("spec.networks[1].routed", "FIELD_UNSUPPORTED"),
        wrong(spec -> {
          spec.addNetworksBuilder().setId("net0").getRoutedBuilder();
          spec.addNetworksBuilder().setId("net1").getRoutedBuilder();
          spec.addNetworks(Network.newBuilder().setId("bare"));
        }));
    assertEquals(
        invalid("spec.networks[0].tap"),
        wrong(spec -> spec.addNetworksBuilder().setId("net0").setTap("tap0").getRoutedBuilder()));
  }

  @Test
  void destinations() {
    assertEquals(Map.of(RULE + ".cidr", "FIELD_REQUIRED"), withRule(rule -> {}));
    for (String cidr :
        List.of("", "10.0.0.1/8", "10.0.0.0/33", "256.0.0.0/8", "10.0.0/8", "::/0", "01.2.3.4")) {
      assertEquals(invalid(RULE + ".cidr"), withRule(rule -> rule.setCidr(cidr)), cidr);
    }
    for (String name :
        List.of("", "*", "*.", "a..b", "10.0.0.1", "a.*.b", "-a.org", "a b", "a".repeat(64))) {
      assertEquals(invalid(RULE + ".dns_name"), withRule(rule -> rule.setDnsName(name)), name);
    }
  }

  @Test
  void protocolsAndPorts() {
    assertEquals(
        invalid(RULE + ".protocol"),
        withRule(rule -> rule.setCidr("10.0.0.0/8").setProtocolValue(99)));
    for (int[] range : new int[][] {{0, 0}, {2, 1}, {1, 65_536}, {-1, 0}}) {
      assertEquals(
          invalid(RULE + ".ports"),
          withRule(rule ->
              rule.setCidr("10.0.0.0/8").addPortsBuilder().setFirst(range[0]).setLast(range[1])));
    }
  }

  @Test
  void publishedPorts() {
    PublishedPort good = PublishedPort.newBuilder().setPort(80).build();
    assertEquals(invalid(PORT + ".port"), withPort(good.toBuilder().setPort(0)));
    assertEquals(invalid(PORT + ".port"), withPort(good.toBuilder().setPort(65_536)));
    assertEquals(invalid(PORT + ".node_port"), withPort(good.toBuilder().setNodePort(65_536)));
    assertEquals(invalid(PORT + ".node_address"), withPort(good.toBuilder().setNodeAddress("::")));
    assertEquals(invalid(PORT + ".protocol"), withPort(good.toBuilder().setProtocolValue(9)));
    assertEquals(
        invalid(ROUTED + ".ports[1].node_port"),
        with(routed -> {
          routed.addPorts(good.toBuilder().setNodePort(8080));
          routed.addPorts(good.toBuilder().setPort(81).setNodePort(8080));
        }));
  }

  @Test
  void noTwoPortsOfANodeAreTheSame() {
    assertEquals(invalid(ROUTED + ".ports[1].node_port"), withPlaces("", "127.0.0.1"));
    assertEquals(invalid(ROUTED + ".ports[1].node_port"), withPlaces("0.0.0.0", "192.0.2.7"));
    assertEquals(invalid(ROUTED + ".ports[1].node_port"), withPlaces("", "0.0.0.0"));
    assertEquals(Map.of(), withPlaces("127.0.0.1", "192.0.2.7"));
  }

  private static Map<String, String> withPlaces(String one, String other) {
    return with(routed -> {
      routed.addPortsBuilder().setPort(80).setNodePort(8080).setNodeAddress(one);
      routed.addPortsBuilder().setPort(81).setNodePort(8080).setNodeAddress(other);
    });
  }

  @Test
  void tooMany() {
    assertEquals(
        invalid(ROUTED + ".egress.rules"),
        with(routed -> {
          for (int i = 0; i < 65; i++) {
            routed.getEgressBuilder().addRulesBuilder().setCidr("10.0.0.0/8");
          }
        }));
    assertEquals(
        invalid(ROUTED + ".ports"),
        with(routed -> {
          for (int i = 0; i < 33; i++) {
            routed.addPortsBuilder().setPort(80);
          }
        }));
  }
}
