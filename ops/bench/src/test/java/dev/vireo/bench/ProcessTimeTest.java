package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class ProcessTimeTest {
  @Test
  void addsUserAndSystemTimeAlsoOfAProgramWithAStrangeName() {
    String stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 25 7 9 20 0 3 0 12345 1 2";

    assertEquals(1.75, ProcessTime.parse(stat));
  }
}
