package dev.vireo.catalog;

/** What memory that is plugged into a running guest comes in, in MiB. */
public final class HotplugMemory {
  /** The smallest block, and that of a spec which leaves it open: Linux plugs no less. */
  public static final int MIN_BLOCK_MIB = 2;

  public static final int MAX_BLOCK_MIB = 1_024;

  /**
   * What Linux adds to itself at once: of a region that is none of whole ones it leaves the rest.
   */
  public static final int STEP_MIB = 128;

  /** 1 TiB: as much as an arm64 machine has addresses for, with its RAM. */
  public static final long MAX_MIB = 1L << 20;

  private HotplugMemory() {}

  /** The block that a spec's {@code block_mib} means. */
  public static int blockMib(int asked) {
    return asked == 0 ? MIN_BLOCK_MIB : asked;
  }
}
