package dev.vireo.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.linux.testing.NetworkNamespace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Tap interfaces of a real kernel. */
@Tag("kvm")
class TapInterfaceTest {
  private final NetworkNamespace namespace = new NetworkNamespace();

  @AfterEach
  void close() {
    namespace.close();
  }

  private TapInterface create(int queues, int mtu) {
    return namespace.call(() -> TapInterface.create("vireo-", queues, mtu));
  }

  private TapInterface open(String name, int queues) {
    return namespace.call(() -> TapInterface.open(name, queues));
  }

  private int errnoOfOpen(String name, int queues) {
    return assertThrows(LinuxException.class, () -> open(name, queues).close()).errno();
  }

  private boolean exists(String name) {
    return namespace.shell("ip -o link").contains(": " + name + ":");
  }

  @Test
  void thatAreMadeHaveNumbersAndAreDown() {
    try (TapInterface first = create(1, 0);
        TapInterface second = create(1, 9000)) {
      assertEquals("vireo-0", first.name());
      assertEquals("vireo-1", second.name());
      String links = namespace.shell("ip -d link");
      assertTrue(links.contains("vireo-0: <BROADCAST,MULTICAST> mtu 1500"), links);
      assertTrue(links.contains("vireo-1: <BROADCAST,MULTICAST> mtu 9000"), links);
      assertTrue(links.contains("tun type tap pi off vnet_hdr on persist off"), links);
    }
  }

  @Test
  void thatAreMadeAreGoneWithTheirLastDescriptor() {
    TapInterface tap = create(2, 0);
    tap.queues().getFirst().close();
    assertTrue(exists("vireo-0"));
    Fd passedOn = tap.queues().getLast().duplicate();
    tap.close();
    assertTrue(exists("vireo-0"));
    passedOn.close();
    assertFalse(exists("vireo-0"));
  }

  @Test
  void thatExistAreOpened() {
    namespace.shell(
        "ip tuntap add dev one mode tap && ip tuntap add dev many mode tap multi_queue");
    open("one", 1).close();
    open("many", 1).close();
    try (TapInterface many = open("many", 3)) {
      assertEquals("many", many.name());
      assertEquals(3, many.queues().size());
      assertTrue(namespace.shell("ip -d link show many").contains("numqueues 3"));
    }
    assertTrue(exists("one") && exists("many"), "they are not ours");
  }

  @Test
  void thatDoNotExistAreNotMade() {
    assertEquals(Errno.ENODEV, errnoOfOpen("none", 1));
    assertFalse(exists("none"));
  }

  @Test
  void thatAreNotWhatIsWantedAreRefused() {
    namespace.shell("ip tuntap add dev one mode tap && ip tuntap add dev tun0 mode tun");
    assertEquals(Errno.EINVAL, errnoOfOpen("one", 2), "not made for several queues");
    assertEquals(Errno.EINVAL, errnoOfOpen("lo", 1));
    assertEquals(Errno.EINVAL, errnoOfOpen("tun0", 1));
    try (TapInterface taken = open("one", 1)) {
      assertEquals(Errno.EBUSY, errnoOfOpen("one", 1));
      assertEquals("one", taken.name());
    }
    open("one", 1).close();
  }

  @Test
  void thatAreMadeByNameAreNobodyElses() {
    try (TapInterface named = namespace.call(() -> TapInterface.createNamed("vn1", 2, 1400))) {
      assertEquals("vn1", named.name());
      assertEquals(2, named.queues().size());
      assertTrue(namespace.shell("ip link show vn1").contains("mtu 1400"));
      LinuxException taken =
          assertThrows(
              LinuxException.class,
              () -> namespace.call(() -> TapInterface.createNamed("vn1", 2, 0)));
      assertEquals(Errno.EBUSY, taken.errno());
    }
    assertFalse(exists("vn1"));
  }

  @Test
  void ofAnMtuThatIsTooLargeAreNotLeftBehind() {
    assertThrows(LinuxException.class, () -> create(1, 70_000));
    assertFalse(exists("vireo-0"));
  }

  @Test
  void haveNamesOfInterfaces() {
    for (String name : new String[] {"", "sixteen-letters-", "tap%d"}) {
      assertThrows(IllegalArgumentException.class, () -> open(name, 1));
    }
  }
}
