package dev.vireo.cli.local;

import dev.vireo.cli.Text;

/** The network namespace that a worker and its guests are in. */
public enum NetworkKind {
  /** The machine's for root; for others one of their own, if there can be one. */
  AUTO,
  /** The machine's. */
  HOST,
  /** One of the user's own, connected to the machine's by pasta(1). */
  ROOTLESS;

  @Override
  public String toString() {
    return Text.lower(this);
  }
}
