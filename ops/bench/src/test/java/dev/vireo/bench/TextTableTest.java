package dev.vireo.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class TextTableTest {
  @Test
  void columnsAreAsWideAsTheirWidestCell() {
    String table = new TextTable().row("what", "a", "rate").row("reads", "1,000", "").toString();

    assertEquals("what       a  rate\nreads  1,000\n", table);
  }

  @Test
  void aRowThatIsTooShortIsRefused() {
    TextTable table = new TextTable().row("what", "a");

    assertThrows(IllegalArgumentException.class, () -> table.row("reads"));
  }
}
