package dev.vireo.vmm.virtio.block;

/** Where a disk tells people what they should know. Called on any thread, seldom. */
public interface DiskLog {
  void line(String what);
}
