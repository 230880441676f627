package dev.vireo.controller.microvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class DoubtsTest {
  private final Doubts doubts = new Doubts();

  @Test
  void theAnswerToACommitThatBeganLaterEndsADoubt() {
    var _ = doubts.begin();
    doubts.add(List.of("a", "b"));
    assertTrue(doubts.contains("a"));

    assertEquals(2, doubts.answered(doubts.begin()).size());

    assertFalse(doubts.contains("a"));
    assertTrue(doubts.isEmpty());
  }

  @Test
  void oneThatWasUnderWayByThenDoesNot() {
    long before = doubts.begin();
    var _ = doubts.begin();
    doubts.add(List.of("a"));

    assertEquals(List.of(), doubts.answered(before));

    assertTrue(doubts.contains("a"));
  }

  @Test
  void aSecondFailureDoubtsAnew() {
    var _ = doubts.begin();
    doubts.add(List.of("a"));
    long between = doubts.begin();
    doubts.add(List.of("a"));

    assertEquals(List.of(), doubts.answered(between));
    assertEquals(List.of("a"), doubts.answered(doubts.begin()));
  }
}
