package dev.vireo.vmm.boot;

/** Where a kernel is entered, and how. */
record EntryPoint(Protocol protocol, long address) {
  /** In what state a kernel wants to be entered. */
  enum Protocol {
    /** Long mode, memory mapped one to one, RSI at the boot parameters (boot.rst, 64-bit). */
    LINUX_64,

    /** Protected mode, no paging, ESI at the boot parameters (boot.rst, 32-bit). */
    LINUX_32,

    /** Protected mode, no paging, EBX at the start info (PVH). */
    PVH
  }
}
