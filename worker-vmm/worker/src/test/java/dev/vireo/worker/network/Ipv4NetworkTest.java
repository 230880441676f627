package dev.vireo.worker.network;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

/** Networks as they are written, and what is in them. */
class Ipv4NetworkTest {
  private static Ipv4Network network(String text) {
    return Ipv4Network.parse(text);
  }

  @Test
  void areWrittenAsTheyAreRead() {
    for (String text : List.of("0.0.0.0/0", "10.0.0.0/8", "255.255.255.255", "192.0.2.128/25")) {
      assertEquals(text, network(text).toString());
    }
    assertEquals("192.0.2.7", network("192.0.2.7/32").toString());
    for (String text : List.of("", "10.0.0.1/8", "256.0.0.0", "10.0.0.0/33", "::1", "10.0.0")) {
      assertThrows(IllegalArgumentException.class, () -> network(text), text);
    }
  }

  @Test
  void areForGuestsWhereNothingElseIsMeant() {
    for (String pool : List.of("10.213.0.0/16", "10.0.0.0/8", "192.0.2.0/29")) {
      assertTrue(network(pool).canBeAPool(), pool);
    }
    for (String other :
        List.of("0.0.0.0/0", "192.0.2.0/30", "127.1.0.0/16", "169.254.0.0/24", "239.0.0.0/8")) {
      assertFalse(network(other).canBeAPool(), other);
    }
  }

  @Test
  void lieWithinEachOther() {
    assertTrue(network("169.254.169.254").liesWithin(network("169.254.0.0/16")));
    assertTrue(network("10.0.0.0/8").liesWithin(network("0.0.0.0/0")));
    assertFalse(network("0.0.0.0/0").liesWithin(network("10.0.0.0/8")));
    assertTrue(network("0.0.0.0/0").overlaps(network("10.0.0.0/8")));
    assertFalse(network("10.0.0.0/9").overlaps(network("10.128.0.0/9")));
    assertTrue(network("0.0.0.0/0").contains(-1));
  }
}
