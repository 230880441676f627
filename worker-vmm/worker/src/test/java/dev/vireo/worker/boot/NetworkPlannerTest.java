package dev.vireo.worker.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.ImageDirectory;
import dev.vireo.linux.Fd;
import dev.vireo.linux.testing.NetworkNamespace;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.Announcement;
import dev.vireo.proto.v1.Architecture;
import dev.vireo.proto.v1.MicroVmSpec;
import dev.vireo.proto.v1.Network;
import dev.vireo.proto.v1.NodeCapabilities;
import dev.vireo.proto.v1.NodeResources;
import dev.vireo.proto.vmm.v1.CreateRequest;
import dev.vireo.proto.vmm.v1.Device;
import dev.vireo.proto.vmm.v1.NetDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Networks of a spec on a real kernel's tap interfaces. */
@Tag("kvm")
class NetworkPlannerTest {
  private final NetworkNamespace namespace = new NetworkNamespace();

  @TempDir private Path files;
  private BootPlanner planner;
  private final MicroVmSpec.Builder spec = MicroVmSpec.newBuilder();

  @BeforeEach
  void makePlanner() throws IOException {
    Path kernel = Files.write(files.resolve("vmlinux"), Kernels.elf(62));
    spec.setVcpus(1).setMemoryMib(64).getBootBuilder().setKernel(kernel.toString());
    planner =
        new BootPlanner(
            Path.of("/dev/null"),
            new ImageDirectory(files),
            NodeCapabilities.newBuilder()
                .setArchitecture(Architecture.X86_64)
                .setRunsLinuxGuests(true)
                .addAnnouncements(Announcement.CMDLINE)
                .setMaxVcpus(1)
                .build(),
            NodeResources.newBuilder().setMemoryMib(64).build());
  }

  @AfterEach
  void close() {
    namespace.close();
  }

  private BootFiles open() {
    return namespace.call(() -> planner.open(spec.build()));
  }

  private boolean exists(String interfaceName) {
    return namespace.shell("ip -o link").contains(": " + interfaceName + ":");
  }

  private static Device network(BootFiles boot, int slot, String uid) {
    try (Fd other = Fd.open("/dev/null", Fd.O_RDWR)) {
      CreateRequest request = boot.orders(uid, other, other).request().build();
      assertEquals(uid, request.getMicrovmUid());
      return request.getDevices(slot);
    }
  }

  @Test
  void anInterfaceOfItsOwnIsMadeAndGoesWithItsDescriptors() {
    spec.addNetworksBuilder().setId("net0").setMtu(1400).setQueuePairs(2);
    try (BootFiles boot = open()) {
      NetDevice net = network(boot, 0, "uid-1").getNet();
      assertEquals(2, net.getTapFdsCount());
      assertEquals(1400, net.getMtu());
      assertArrayEquals(MacAddress.of("uid-1", "net0").bytes(), net.getMacAddress().toByteArray());
      assertTrue(namespace.shell("ip -d link show vireo-0").contains("mtu 1400"));
    }
    assertFalse(exists("vireo-0"));
  }

  @Test
  void anInterfaceOfTheNodeIsOpenedAndStays() {
    namespace.shell("ip tuntap add dev tap7 mode tap");
    spec.addNetworksBuilder()
        .setId("lan")
        .setTap("tap7")
        .setMacAddress("02:00:00:00:00:07")
        .getTxRateLimitBuilder()
        .getOperationsBuilder()
        .setCapacity(5)
        .setRefillPerSecond(50);
    try (BootFiles boot = open()) {
      Device device = network(boot, 0, "uid");
      assertEquals("lan", device.getId());
      assertArrayEquals(
          new byte[] {2, 0, 0, 0, 0, 7}, device.getNet().getMacAddress().toByteArray());
      assertFalse(device.getNet().getRxRateLimit().hasBandwidth());
      assertEquals(50, device.getNet().getTxRateLimit().getOperations().getRefillPerSecond());
      assertTrue(namespace.shell("ip -d link show tap7").contains("vnet_hdr on"));
    }
    assertTrue(exists("tap7"));
  }

  @Test
  void aRoutedNetworksInterfaceIsMadeByTheNameThatTheNodeHasGivenIt() {
    Network.Builder routed = spec.addNetworksBuilder().setId("net0").setTap("vn0ad50002");
    routed.getRoutedBuilder();
    try (BootFiles boot = open()) {
      assertEquals(1, network(boot, 0, "uid").getNet().getTapFdsCount());
      assertTrue(namespace.shell("ip link show vn0ad50002").contains("state DOWN"));
      assertRefused(ErrorReason.ROUTING_UNAVAILABLE, 0);
    }
    assertFalse(exists("vn0ad50002"));
  }

  @Test
  void disksComeFirst() throws IOException {
    spec.addNetworksBuilder().setId("net0");
    spec.getEntropyBuilder();
    spec.addDisksBuilder()
        .setId("data")
        .setSource(Files.write(files.resolve("data"), new byte[512]).toString());
    try (BootFiles boot = open()) {
      assertEquals(
          List.of("data", "net0", "entropy"), boot.devices().stream().map(OpenDevice::id).toList());
    }
  }

  private void assertRefused(ErrorReason reason, int network) {
    RejectedException refusal = assertThrows(RejectedException.class, this::openOrRefuse);
    assertEquals(reason, refusal.reason());
    assertEquals("spec.networks[" + network + "].tap", refusal.field());
  }

  private void openOrRefuse() throws RejectedException {
    RejectedException[] refusal = new RejectedException[1];
    namespace.run(() -> {
      try {
        planner.open(spec.build()).close();
      } catch (RejectedException e) {
        refusal[0] = e;
      }
    });
    if (refusal[0] != null) {
      throw refusal[0];
    }
  }

  @Test
  void whatIsNotThereOrNotRightIsRefusedAndNothingStays() {
    spec.addNetworksBuilder().setId("net0");
    spec.addNetworksBuilder().setId("net1").setTap("tap7");
    assertRefused(ErrorReason.NETWORK_NOT_FOUND, 1);
    assertFalse(exists("vireo-0"), "the first was made already");
    assertFalse(exists("tap7"));

    spec.getNetworksBuilder(1).setTap("lo");
    assertRefused(ErrorReason.NETWORK_INVALID, 1);

    namespace.shell("ip tuntap add dev tap7 mode tap");
    spec.getNetworksBuilder(1).setTap("tap7").setQueuePairs(2);
    assertRefused(ErrorReason.NETWORK_INVALID, 1);

    spec.getNetworksBuilder(1).setQueuePairs(1);
    try (BootFiles first = open()) {
      assertEquals(2, first.devices().size());
      assertRefused(ErrorReason.NETWORK_BUSY, 1);
    }
  }
}
