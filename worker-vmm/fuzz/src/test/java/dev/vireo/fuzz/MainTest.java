package dev.vireo.fuzz;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import org.junit.jupiter.api.Test;

class MainTest {
  @Test
  void anOptionAndItsValueMayBeOneWord() {
    assertArrayEquals(
        new String[] {"--target", "blk", "--seconds", "5", "--racing", "--replay", "a=b"},
        Main.words("--target", "blk", "--seconds=5", "--racing", "--replay=a=b"));
  }
}
