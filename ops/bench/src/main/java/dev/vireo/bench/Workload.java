package dev.vireo.bench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A program of the probe's that loads one device, and how its output is read.
 *
 * @param group the device and the direction, as reports name them
 * @param point which of the group, by depth or size
 * @param title for people
 * @param setup the program, which has no end of its own yet, and the device
 * @param unit what {@code <unit>} of the probe's output is a rate of
 * @param count the output's number of operations
 * @param bytes of an operation
 */
record Workload(
    String group,
    String point,
    String title,
    GuestSetup setup,
    String unit,
    String count,
    int bytes) {
  private static final int[] DEPTHS = {1, 8, 32, 128};
  private static final int BLOCK = 4096;

  /** Frames, of which the second is what fits an MTU of 1,500, and the third a segment uncut. */
  private static final List<Frame> FRAMES =
      List.of(
          new Frame("bytes64", "64 B", 64, 64),
          new Frame("bytes1500", "1,500 B", 1514, 64),
          new Frame("bytes65536", "64 KiB", 65_535, 16));

  /**
   * @param depth packets on their way
   */
  private record Frame(String point, String title, int bytes, int depth) {}

  static List<Workload> ofDisk(Path disk) {
    List<Workload> workloads = new ArrayList<>();
    for (String direction : List.of("read", "write")) {
      for (int depth : DEPTHS) {
        String program =
            String.format(
                Locale.ROOT,
                "probe.run=blk-%s probe.block=%d probe.depth=%d",
                direction,
                BLOCK,
                depth);
        workloads.add(
            new Workload(
                "blk_4k_" + direction,
                "depth" + depth,
                "4K " + direction + "s, depth " + depth,
                GuestSetup.of(program).withDisk(disk),
                "iops",
                "ops",
                BLOCK));
      }
    }
    return workloads;
  }

  static List<Workload> ofNetwork(String tap) {
    return FRAMES.stream()
        .map(frame ->
            new Workload(
                "net",
                frame.point,
                "packets of " + frame.title,
                GuestSetup.of(
                        String.format(
                            Locale.ROOT,
                            "probe.run=net-rate probe.block=%d probe.depth=%d",
                            frame.bytes,
                            frame.depth))
                    .withTap(tap),
                "packets_per_second",
                "received",
                frame.bytes))
        .toList();
  }

  /** As a program that ends after so many milliseconds. */
  GuestSetup lasting(long millis) {
    return setup.with("probe.ops=0 probe.duration_ms=" + millis);
  }
}
