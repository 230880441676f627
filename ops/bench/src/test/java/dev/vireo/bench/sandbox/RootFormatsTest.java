package dev.vireo.bench.sandbox;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

final class RootFormatsTest {
  private static final String MEMINFO =
      """
      MemTotal:         232104 kB
      Buffers:            1024 kB
      SwapCached:         4096 kB
      Cached:            10240 kB
      """;

  @Test
  void aLineOfMeminfoIsReadByItsWholeName() {
    assertEquals(10, RootFormats.meminfo(MEMINFO, "Cached"));
    assertEquals(1, RootFormats.meminfo(MEMINFO, "Buffers"));
    assertThrows(IllegalArgumentException.class, () -> RootFormats.meminfo(MEMINFO, "Cach"));
  }
}
