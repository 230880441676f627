package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.vireo.proto.v1.MicroVm;
import dev.vireo.proto.v1.RoutedNetwork;
import dev.vireo.proto.v1.TransportProtocol;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What people are told of networks. */
class NetworkViewTest {
  private static List<String> lines(MicroVm.Builder vm) {
    List<String> lines = new ArrayList<>();
    NetworkView.print(vm.build(), (name, value) -> lines.add(name + ": " + value));
    return lines;
  }

  @Test
  void bareOnes() {
    MicroVm.Builder vm = MicroVm.newBuilder();
    vm.getSpecBuilder().addNetworksBuilder().setId("net0");
    vm.getSpecBuilder().addNetworksBuilder().setId("lan").setTap("tap0").setMacAddress("02:01");
    assertEquals(
        List.of("network: net0 on an interface of its own", "network: lan on tap0, 02:01"),
        lines(vm));
  }

  @Test
  void aRoutedOneBeforeAndAfterItIsOnItsNode() {
    MicroVm.Builder vm = MicroVm.newBuilder();
    RoutedNetwork.Builder routed =
        vm.getSpecBuilder().addNetworksBuilder().setId("net0").getRoutedBuilder();
    assertEquals(List.of("network: net0, routed", "egress: none"), lines(vm));
    routed
        .getEgressBuilder()
        .addRulesBuilder()
        .setCidr("10.0.0.0/8")
        .setProtocol(TransportProtocol.UDP)
        .addPortsBuilder()
        .setFirst(80)
        .setLast(90);
    routed.getEgressBuilder().addRulesBuilder().setDnsName("*.example.org");
    routed.addPortsBuilder().setPort(80);
    assertEquals("published: 127.0.0.1:? to 80/tcp", lines(vm).getLast());
    vm.getStatusBuilder()
        .addNetworksBuilder()
        .setId("net0")
        .setAddress("10.213.0.2")
        .setGateway("10.213.0.1")
        .setMacAddress("02:00:00:00:00:01")
        .setTap("vn0ad50002")
        .addPortsBuilder()
        .setPort(80)
        .setNodeAddress("0.0.0.0")
        .setNodePort(40_000);
    assertEquals(
        List.of(
            "network: net0, 10.213.0.2 by 10.213.0.1, 02:00:00:00:00:01 on vn0ad50002",
            "egress: 10.0.0.0/8:80-90/udp, *.example.org",
            "published: 0.0.0.0:40000 to 80/tcp"),
        lines(vm));
  }
}
