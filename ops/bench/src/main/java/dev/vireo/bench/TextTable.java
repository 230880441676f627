package dev.vireo.bench;

import java.util.ArrayList;
import java.util.List;

/** A table for a terminal: the first column begins on the left, the others end on the right. */
public final class TextTable {
  private static final String GAP = "  ";

  private final List<String[]> rows = new ArrayList<>();

  /** Adds a row; all have as many cells as the first. */
  public TextTable row(String... cells) {
    if (!rows.isEmpty() && cells.length != rows.getFirst().length) {
      throw new IllegalArgumentException("a row of " + cells.length + " cells");
    }
    rows.add(cells);
    return this;
  }

  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    for (String[] cells : rows) {
      StringBuilder line = new StringBuilder(cells[0]);
      line.repeat(" ", width(0) - cells[0].length());
      for (int column = 1; column < cells.length; column++) {
        line.append(GAP).repeat(" ", width(column) - cells[column].length()).append(cells[column]);
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }

  private int width(int column) {
    return rows.stream().mapToInt(cells -> cells[column].length()).max().orElse(0);
  }
}
