package dev.vireo.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Bits of virtio registers by their names in the VIRTIO 1.2 specification. */
final class VirtioNames {
  /** Device status field, section 2.1. */
  private static final Map<Integer, String> STATUS =
      Map.of(
          0, "ACKNOWLEDGE",
          1, "DRIVER",
          2, "DRIVER_OK",
          3, "FEATURES_OK",
          6, "NEEDS_RESET",
          7, "FAILED");

  /** Reserved feature bits, section 6. */
  private static final Map<Integer, String> RING_FEATURES =
      Map.of(28, "INDIRECT_DESC", 29, "EVENT_IDX", 32, "VERSION_1", 33, "ACCESS_PLATFORM");

  /** Block device feature bits, section 5.2.3. */
  private static final Map<Integer, String> BLOCK_FEATURES =
      Map.of(
          1, "SIZE_MAX",
          2, "SEG_MAX",
          5, "RO",
          6, "BLK_SIZE",
          9, "FLUSH",
          10, "TOPOLOGY",
          12, "MQ",
          13, "DISCARD",
          14, "WRITE_ZEROES");

  /** Network device feature bits, section 5.1.3. */
  private static final Map<Integer, String> NETWORK_FEATURES =
      Map.ofEntries(
          Map.entry(0, "CSUM"),
          Map.entry(1, "GUEST_CSUM"),
          Map.entry(2, "CTRL_GUEST_OFFLOADS"),
          Map.entry(3, "MTU"),
          Map.entry(5, "MAC"),
          Map.entry(7, "GUEST_TSO4"),
          Map.entry(8, "GUEST_TSO6"),
          Map.entry(9, "GUEST_ECN"),
          Map.entry(10, "GUEST_UFO"),
          Map.entry(11, "HOST_TSO4"),
          Map.entry(12, "HOST_TSO6"),
          Map.entry(13, "HOST_ECN"),
          Map.entry(14, "HOST_UFO"),
          Map.entry(15, "MRG_RXBUF"),
          Map.entry(16, "STATUS"),
          Map.entry(17, "CTRL_VQ"),
          Map.entry(22, "MQ"));

  /** Balloon feature bits, section 5.5.3. */
  private static final Map<Integer, String> BALLOON_FEATURES =
      Map.of(
          0, "MUST_TELL_HOST",
          1, "STATS_VQ",
          2, "DEFLATE_ON_OOM",
          3, "FREE_PAGE_HINT",
          4, "PAGE_POISON",
          5, "PAGE_REPORTING");

  /** Memory device feature bits, section 5.15.3. */
  private static final Map<Integer, String> MEMORY_FEATURES =
      Map.of(0, "ACPI_PXM", 1, "UNPLUGGED_INACCESSIBLE");

  /** Console device feature bits, section 5.3.3. */
  private static final Map<Integer, String> CONSOLE_FEATURES =
      Map.of(0, "SIZE", 1, "MULTIPORT", 2, "EMERG_WRITE");

  private VirtioNames() {}

  /** The furthest point the driver has reached, which is what one wants to know. */
  static String status(int status) {
    for (int bit : new int[] {7, 6, 2, 3, 1, 0}) {
      if ((status & 1 << bit) != 0) {
        return STATUS.getOrDefault(bit, "");
      }
    }
    return "RESET";
  }

  static String features(String model, long features) {
    Map<Integer, String> names = new TreeMap<>(RING_FEATURES);
    names.putAll(
        switch (model) {
          case "blk" -> BLOCK_FEATURES;
          case "net" -> NETWORK_FEATURES;
          case "balloon" -> BALLOON_FEATURES;
          case "console" -> CONSOLE_FEATURES;
          case "mem" -> MEMORY_FEATURES;
          default -> Map.of();
        });
    List<String> set = new ArrayList<>();
    for (int bit = 0; bit < Long.SIZE; bit++) {
      if ((features & 1L << bit) != 0) {
        set.add(names.getOrDefault(bit, "bit" + bit));
      }
    }
    return set.isEmpty() ? "-" : String.join(",", set);
  }
}
