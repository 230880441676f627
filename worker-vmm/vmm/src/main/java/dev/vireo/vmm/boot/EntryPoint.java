package dev.vireo.vmm.boot;

/** Address and protocol of a kernel's first instruction. */
sealed interface EntryPoint {
  long address();

  /**
   * Long mode, memory mapped one to one, RSI at the boot parameters (boot.rst, 64-bit protocol).
   */
  record Linux64(long address) implements EntryPoint {}

  /** Protected mode, no paging, ESI at the boot parameters (boot.rst, 32-bit protocol). */
  record Linux32(long address) implements EntryPoint {}

  /** Protected mode, no paging, EBX at the start info (PVH). */
  record Pvh(long address) implements EntryPoint {}
}
