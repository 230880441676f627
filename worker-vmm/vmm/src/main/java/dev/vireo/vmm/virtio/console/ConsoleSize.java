package dev.vireo.vmm.virtio.console;

/**
 * The size of a console in characters, each 0 to 65,535; zeroes where nobody knows.
 *
 * @param columns characters in a line
 * @param rows lines
 */
public record ConsoleSize(int columns, int rows) {
  public static final ConsoleSize UNKNOWN = new ConsoleSize(0, 0);

  public ConsoleSize {
    if (columns < 0 || columns > 0xffff || rows < 0 || rows > 0xffff) {
      throw new IllegalArgumentException(columns + " columns, " + rows + " rows");
    }
  }
}
