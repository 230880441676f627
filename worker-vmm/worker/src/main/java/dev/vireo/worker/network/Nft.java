package dev.vireo.worker.network;

import java.io.IOException;

/** The kernel's packet filter of the caller's network namespace, in nft(8)'s language. */
interface Nft {
  /**
   * Makes all of the changes, or none.
   *
   * @param transaction a statement a line
   * @throws IOException with what nft says, if it refuses or is not there
   */
  void apply(String transaction) throws IOException;

  /** Whether it would make these changes: for its right to, and for what the kernel has. */
  void check(String transaction) throws IOException;

  /** A table with its chains and sets, without their elements; empty if there is no such table. */
  String listing(String family, String table) throws IOException;
}
