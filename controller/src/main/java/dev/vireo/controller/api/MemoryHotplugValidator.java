package dev.vireo.controller.api;

import static dev.vireo.catalog.HotplugMemory.MAX_BLOCK_MIB;
import static dev.vireo.catalog.HotplugMemory.MAX_MIB;
import static dev.vireo.catalog.HotplugMemory.MIN_BLOCK_MIB;
import static dev.vireo.catalog.HotplugMemory.STEP_MIB;

import dev.vireo.catalog.HotplugMemory;
import dev.vireo.proto.v1.MemoryHotplug;

/** What can be said of memory that is to be plugged by looking at its spec alone. */
final class MemoryHotplugValidator {
  private static final String FIELD = "spec.memory_hotplug.";

  private MemoryHotplugValidator() {}

  static void validate(MemoryHotplug hotplug, Violations violations) {
    long block = Integer.toUnsignedLong(HotplugMemory.blockMib(hotplug.getBlockMib()));
    boolean blockIsValid =
        block >= MIN_BLOCK_MIB && block <= MAX_BLOCK_MIB && Long.bitCount(block) == 1;
    violations.invalidIf(
        !blockIsValid,
        FIELD + "block_mib",
        "is %d; a power of two from %d to %d (MiB).",
        block,
        MIN_BLOCK_MIB,
        MAX_BLOCK_MIB);
    // Without a block that is one, what is a whole number of them cannot be said.
    long step = blockIsValid ? Math.max(STEP_MIB, block) : STEP_MIB;
    long maximum = hotplug.getMaximumMib();
    violations.invalidIf(
        maximum < step || maximum > MAX_MIB || maximum % step != 0,
        FIELD + "maximum_mib",
        "is %s; a multiple of %d up to %d (MiB).",
        Long.toUnsignedString(maximum),
        step,
        MAX_MIB);
    long size = hotplug.getSizeMib();
    violations.invalidIf(
        Long.compareUnsigned(size, maximum) > 0,
        FIELD + "size_mib",
        "is %s; at most maximum_mib, %s.",
        Long.toUnsignedString(size),
        Long.toUnsignedString(maximum));
    violations.invalidIf(
        blockIsValid && size % block != 0,
        FIELD + "size_mib",
        "is %s; a multiple of block_mib, %d.",
        Long.toUnsignedString(size),
        block);
  }
}
