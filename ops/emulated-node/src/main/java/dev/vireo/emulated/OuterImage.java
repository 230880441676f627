package dev.vireo.emulated;

import dev.vireo.images.Architecture;
import java.nio.file.Path;

/**
 * What QEMU boots as the outer machine: Debian's cloud kernel, an initramfs with the modules it
 * needs, and a root disk with busybox and a Java runtime in {@code /java}. None of Vireo's own
 * programs: those come on the {@link JobDisk}, so that a change of theirs does not rebuild this.
 *
 * @param javaRuntime directory on the host with the runtime that the root disk has
 */
record OuterImage(
    Architecture architecture, Path kernel, Path initramfs, Path rootDisk, Path javaRuntime) {
  static OuterImage in(Path directory, Architecture architecture) {
    return new OuterImage(
        architecture,
        directory.resolve("vmlinuz"),
        directory.resolve("initramfs"),
        directory.resolve("root.ext4"),
        directory.resolve("java"));
  }

  /** Whether the host can run what the outer machine runs. */
  boolean isOfHostsArchitecture() {
    return architecture == Architecture.ofHost();
  }
}
