package dev.vireo.worker.boot;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MacAddressTest {
  @Test
  void isReadAndWritten() {
    MacAddress address = MacAddress.parse("02:00:5E:ff:0a:9b");
    assertArrayEquals(new byte[] {2, 0, 0x5e, (byte) 0xff, 0x0a, (byte) 0x9b}, address.bytes());
    assertEquals("02:00:5e:ff:0a:9b", address.toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "02:00:5e:ff:0a", "02:00:5e:ff:0a:9b:", "2:0:5e:ff:a:9b", "02-00-5e-ff-0a-9b"})
  void isNothingElse(String text) {
    assertThrows(IllegalArgumentException.class, () -> MacAddress.parse(text));
  }

  @Test
  void thatIsMadeUpIsLocalOfOneStationAndAlwaysTheSame() {
    Set<MacAddress> all = new HashSet<>();
    for (int uid = 0; uid < 1000; uid++) {
      for (String network : new String[] {"net0", "net1"}) {
        MacAddress address = MacAddress.of("uid-" + uid, network);
        assertEquals(2, address.bytes()[0] & 3, address.toString());
        assertEquals(address, MacAddress.of("uid-" + uid, network));
        all.add(address);
      }
    }
    assertEquals(2000, all.size());
  }
}
