package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.vireo.proto.v1.EgressRule;
import dev.vireo.proto.v1.PortRange;
import dev.vireo.proto.v1.PublishedPort;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.TransportProtocol;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/** How a routed network is written. */
class RoutedNetworkOptionsTest {
  private static RoutedNetwork parse(String line) {
    RoutedNetworkOptions options = new RoutedNetworkOptions();
    new CommandLine(CommandLine.Model.CommandSpec.create().addMixin("routed", mixin(options)))
        .parseArgs(line.split(" "));
    return options.network().orElseThrow().getRouted();
  }

  private static CommandLine.Model.CommandSpec mixin(RoutedNetworkOptions options) {
    return CommandLine.Model.CommandSpec.forAnnotatedObject(options);
  }

  private static EgressRule rule(String text) {
    return parse("--egress " + text).getEgress().getRules(0);
  }

  private static PublishedPort port(String text) {
    return parse("-p " + text).getPorts(0);
  }

  @Test
  void whereTo() {
    assertEquals(0, parse("--egress none").getEgress().getRulesCount());
    assertEquals(EgressRule.newBuilder().setCidr("0.0.0.0/0").build(), rule("all"));
    assertEquals(EgressRule.newBuilder().setCidr("10.1.2.3").build(), rule("10.1.2.3"));
    assertEquals(
        EgressRule.newBuilder().setDnsName("*.example.org").build(), rule("*.example.org"));
    assertEquals(2, parse("--egress a.org --egress 10.0.0.0/8").getEgress().getRulesCount());
  }

  @Test
  void atWhichPorts() {
    assertEquals(
        EgressRule.newBuilder()
            .setCidr("10.0.0.0/8")
            .setProtocol(TransportProtocol.TCP)
            .addPorts(PortRange.newBuilder().setFirst(80))
            .addPorts(PortRange.newBuilder().setFirst(8000).setLast(8100))
            .build(),
        rule("10.0.0.0/8:80+8000-8100/tcp"));
    assertEquals(
        EgressRule.newBuilder()
            .setDnsName("example.org")
            .addPorts(PortRange.newBuilder().setFirst(443))
            .build(),
        rule("example.org:443"));
    assertEquals(
        EgressRule.newBuilder().setCidr("0.0.0.0/0").setProtocol(TransportProtocol.UDP).build(),
        rule("all/udp"));
  }

  @Test
  void whereItIsReached() {
    assertEquals(PublishedPort.newBuilder().setPort(80).build(), port("80"));
    assertEquals(PublishedPort.newBuilder().setPort(80).setNodePort(8080).build(), port("8080:80"));
    assertEquals(
        PublishedPort.newBuilder()
            .setPort(53)
            .setNodePort(5353)
            .setNodeAddress("0.0.0.0")
            .setProtocol(TransportProtocol.UDP)
            .build(),
        port("0.0.0.0:5353:53/udp"));
  }

  @Test
  void isThereIfItIsAskedFor() {
    assertEquals(Optional.empty(), new RoutedNetworkOptions().network());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--egress 10.0.0.0/8:x",
        "--egress a.org:80,90",
        "--egress a.org:80/icmp",
        "-p 80:90:100",
        "-p localhost:80:80",
        "-p 80/sctp"
      })
  void whatItIsNot(String line) {
    assertThrows(ParameterException.class, () -> parse(line));
  }
}
