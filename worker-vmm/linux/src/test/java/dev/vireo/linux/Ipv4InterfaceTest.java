package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.testing.NetworkNamespace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** IPv4 settings of a real kernel's interface. */
@Tag("kvm")
class Ipv4InterfaceTest {
  private static final int GATEWAY = 0x0ad50001;
  private static final int GUEST = 0x0ad50002;

  private final NetworkNamespace namespace = new NetworkNamespace();

  @AfterEach
  void close() {
    namespace.close();
  }

  @Test
  void haveNoNeighboursButThoseThatTheyAreGiven() {
    try (TapInterface tap = namespace.call(() -> TapInterface.createNamed("vn0", 1, 0))) {
      namespace.run(() -> {
        Ipv4Interface settings = new Ipv4Interface(tap.name());
        settings.setAddress(GATEWAY);
        settings.setUp();
        settings.addHostRoute(GUEST);
        settings.setNeighbour(GUEST, new byte[] {2, 0, 0, 0, 0, (byte) 0xfe});
      });
      String address = namespace.shell("ip -o -4 addr show vn0");
      assertTrue(address.contains("inet 10.213.0.1/32 "), address);
      assertEquals("10.213.0.2 dev vn0 scope link", namespace.shell("ip route").strip());
      String neighbour = namespace.shell("ip neigh show dev vn0");
      assertEquals("10.213.0.2 lladdr 02:00:00:00:00:fe PERMANENT", neighbour.strip());
    }
  }

  @Test
  void ofAnInterfaceThatIsNotThereCannotBeSet() {
    LinuxException none =
        assertThrows(
            LinuxException.class,
            () ->
                namespace.call(() -> {
                  new Ipv4Interface("none").setAddress(GATEWAY);
                  return true;
                }));
    assertEquals(Errno.ENODEV, none.errno());
  }
}
