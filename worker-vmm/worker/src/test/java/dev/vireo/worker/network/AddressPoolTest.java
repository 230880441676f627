package dev.vireo.worker.network;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Who gets which address, and when again. */
class AddressPoolTest {
  private static final Ipv4Network SIX = Ipv4Network.parse("10.0.0.0/29");

  @TempDir private Path state;

  private AddressPool pool() {
    return new AddressPool(SIX, state.resolve("next"));
  }

  private static String assign(AddressPool pool, String uid) throws IOException {
    OptionalInt address = pool.assign(uid);
    return address.isEmpty() ? "none" : Ipv4Network.text(address.getAsInt());
  }

  @Test
  void eachHasItsOwnUntilThereIsNoneLeft() throws IOException {
    AddressPool pool = pool();
    assertEquals("10.0.0.1", Ipv4Network.text(pool.gateway()));
    for (int i = 2; i < 7; i++) {
      assertEquals("10.0.0." + i, assign(pool, "vm" + i));
    }
    assertEquals("none", assign(pool, "one too many"));
    assertEquals("10.0.0.4", assign(pool, "vm4"), "it has one");
    pool.release("vm4");
    assertEquals("10.0.0.4", assign(pool, "next"));
  }

  @Test
  void oneThatWasGivenBackComesLastAlsoForASuccessor() throws IOException {
    AddressPool first = pool();
    assertEquals("10.0.0.2", assign(first, "a"));
    first.release("a");
    assertEquals("10.0.0.3", assign(first, "b"));
    AddressPool second = pool();
    second.count("b", Ipv4Network.parse("10.0.0.3").address());
    assertEquals("10.0.0.4", assign(second, "c"));
    second.release("c");
    assertEquals("10.0.0.5", assign(second, "d"));
    assertEquals("10.0.0.6", assign(second, "e"));
    assertEquals("10.0.0.2", assign(second, "f"));
    assertEquals("10.0.0.4", assign(second, "g"), "not the third, which is b's");
  }

  @Test
  void anotherPoolBeginsAtItsBeginning() throws IOException {
    assign(pool(), "a");
    AddressPool other = new AddressPool(Ipv4Network.parse("10.9.0.0/24"), state.resolve("next"));
    assertEquals("10.9.0.2", assign(other, "b"));
  }
}
