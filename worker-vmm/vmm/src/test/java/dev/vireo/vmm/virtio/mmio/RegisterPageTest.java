package dev.vireo.vmm.virtio.mmio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class RegisterPageTest {
  private static final int GENERATION = Register.CONFIG_GENERATION;
  private static final int CONFIG_BYTES = 8;
  private static final int CHANGES = 20_000;

  private final RegisterPage page = new RegisterPage();
  private final MemorySegment shown = page.shown();

  @AfterEach
  void close() {
    page.close();
  }

  /** As the guest does it. */
  private int load(int offset) {
    return shown.get(ValueLayout.JAVA_INT, offset);
  }

  @Test
  void isZeroAtFirst() {
    for (int offset = 0; offset < RegisterPage.BYTES; offset += 4) {
      assertEquals(0, load(offset));
    }
  }

  @Test
  void showsWhatIsStored() {
    page.set(Register.MAGIC_VALUE, 0x74726976);
    page.setBits(Register.STATUS, 0x0f);
    page.clearBits(Register.STATUS, 0x06);
    page.putConfig(new byte[] {1, 2, 3, 4});
    assertEquals(0x74726976, load(Register.MAGIC_VALUE));
    assertEquals(0x09, load(Register.STATUS));
    assertEquals(0x04030201, load(Register.CONFIG));
    assertEquals(0, load(GENERATION));
  }

  @Test
  void aNewConfigurationHasANewGenerationAndLeavesTheOtherRegisters() {
    page.set(Register.STATUS, 0x0f);
    page.replaceConfig(new byte[] {1, 1, 1, 1});
    page.replaceConfig(new byte[] {2, 2, 2, 2});
    assertEquals(0x02020202, load(Register.CONFIG));
    assertEquals(2, load(GENERATION));
    assertEquals(0x0f, load(Register.STATUS));
    page.set(Register.STATUS, 0x4f);
    assertEquals(0x4f, load(Register.STATUS));
  }

  @Test
  void configurationBeyondThePageIsZero() {
    page.putConfig(new byte[RegisterPage.BYTES - Register.CONFIG]);
    assertEquals(0, page.readConfig(RegisterPage.BYTES - Register.CONFIG - 2, 4));
  }

  @Test
  void aNewConfigurationIsNeverSeenInHalves() throws InterruptedException {
    assertEquals(0, countTorn(page::replaceConfig));
  }

  /** That the test above would see it. */
  @Test
  void writtenInPlaceItIsSeenInHalves() throws InterruptedException {
    int torn = 0;
    while (torn == 0) {
      torn =
          countTorn(config -> {
            page.putConfig(config);
            page.set(GENERATION, page.get(GENERATION) + 1);
          });
    }
    assertTrue(torn > 0);
  }

  private interface Change {
    void to(byte[] config);
  }

  /** How often two words that are always equal were read as different, in one generation. */
  private int countTorn(Change change) throws InterruptedException {
    AtomicBoolean done = new AtomicBoolean();
    Thread device =
        Thread.ofPlatform()
            .start(() -> {
              byte[] config = new byte[CONFIG_BYTES];
              for (int i = 0; i < CHANGES; i++) {
                Arrays.fill(config, (byte) i);
                change.to(config);
              }
              done.set(true);
            });
    int torn = 0;
    while (!done.get()) {
      int before = load(GENERATION);
      int first = load(Register.CONFIG);
      int second = load(Register.CONFIG + 4);
      int after = load(GENERATION);
      if (before == after && first != second) {
        torn++;
      }
    }
    device.join();
    return torn;
  }

  @Test
  void keepsItsLastValuesWhenItIsClosed() {
    page.set(Register.STATUS, 0x4f);
    page.close();
    assertEquals(0x4f, page.get(Register.STATUS));
    page.setBits(Register.STATUS, 0x80);
    assertEquals(0xcf, page.get(Register.STATUS));
  }
}
