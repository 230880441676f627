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
    if (model.equals("blk")) {
      names.putAll(BLOCK_FEATURES);
    }
    List<String> set = new ArrayList<>();
    for (int bit = 0; bit < Long.SIZE; bit++) {
      if ((features & 1L << bit) != 0) {
        set.add(names.getOrDefault(bit, "bit" + bit));
      }
    }
    return set.isEmpty() ? "-" : String.join(",", set);
  }
}
