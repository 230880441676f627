package dev.vireo.catalog;

/** Who does a device's I/O, and what follows from it. */
public enum Approach {
  /** A thread of the VMM. */
  EMULATED(true, Migration.YES),
  /** The host's kernel; the VMM sets it up and steps aside. */
  VHOST_KERNEL(false, Migration.WITH_DIRTY_LOG),
  /** Another process, over shared memory and passed eventfds. */
  VHOST_USER(false, Migration.WITH_DIRTY_LOG),
  /** Another machine; the VMM forwards. */
  REMOTE(true, Migration.YES);

  /** Whether a running guest can be moved or snapshot while it has the device. */
  public enum Migration {
    YES,
    /** If the back end reports which pages it wrote. */
    WITH_DIRTY_LOG
  }

  private final boolean vmmInDataPath;
  private final Migration migration;

  Approach(boolean vmmInDataPath, Migration migration) {
    this.vmmInDataPath = vmmInDataPath;
    this.migration = migration;
  }

  /** Whether the VMM touches each request. Even then the guest takes no exit for it. */
  public boolean vmmInDataPath() {
    return vmmInDataPath;
  }

  public Migration migration() {
    return migration;
  }
}
