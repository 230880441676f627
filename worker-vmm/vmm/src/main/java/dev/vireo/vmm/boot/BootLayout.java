package dev.vireo.vmm.boot;

/**
 * Guest physical addresses of what the loader puts below 1 MiB; the firmware tables' are {@link
 * dev.vireo.catalog.X86Platform}'s. The kernel may overwrite all of it once it has read it.
 */
final class BootLayout {
  static final long GDT = 0x500;
  static final long START_INFO = 0x6000;
  static final long START_INFO_MODULES = 0x6040;
  static final long START_INFO_MEMORY_MAP = 0x6080;
  static final long BOOT_PARAMETERS = 0x7000;
  static final long STACK_TOP = 0x8ff0;
  static final long PAGE_TABLES = 0x9000;
  static final long COMMAND_LINE = 0x20000;

  /** Where the area that PCs keep for firmware begins; below is usable memory. */
  static final long LOW_MEMORY_END = 0x9fc00;

  /** Kernels are loaded from here on. */
  static final long HIGH_MEMORY = 0x100000;

  private BootLayout() {}
}
