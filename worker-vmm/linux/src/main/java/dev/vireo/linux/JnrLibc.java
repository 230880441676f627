package dev.vireo.linux;

import jnr.ffi.LibraryLoader;

/** {@link Libc} as jnr-ffi generates it from the interface. */
final class JnrLibc {
  private JnrLibc() {}

  static Libc load() {
    // jnr-ffi 2.2.17 to 2.3.7 pass a wrong sixth integer argument (mmap's offset) from their own
    // x86-64 stubs.
    System.setProperty("jnr.ffi.x86asm.enabled", "false");
    return LibraryLoader.create(Libc.class).load("c");
  }
}
