package dev.vireo.cli.local;

import dev.vireo.cli.Text;

/** What the control plane's state is kept in, as the controller's setting {@code vireo.store}. */
public enum StoreKind {
  /** A file in the state directory. */
  SQLITE,
  /** One of our own, its data in the state directory, or another. */
  ETCD;

  @Override
  public String toString() {
    return Text.lower(this);
  }
}
