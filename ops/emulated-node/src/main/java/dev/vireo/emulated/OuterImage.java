package dev.vireo.emulated;

import java.nio.file.Path;

/**
 * What QEMU boots as the outer machine: Debian's cloud kernel, an initramfs with the modules it
 * needs, and a root disk with busybox and a Java runtime. None of Vireo's own programs: those come
 * on the {@link JobDisk}, so that a change of theirs does not rebuild this.
 *
 * @param javaRuntime directory on the host with the runtime that the root disk has in {@code /java}
 */
record OuterImage(Path kernel, Path initramfs, Path rootDisk, Path javaRuntime) {
  static OuterImage in(Path directory) {
    return new OuterImage(
        directory.resolve("vmlinuz"),
        directory.resolve("initramfs"),
        directory.resolve("root.ext4"),
        directory.resolve("java"));
  }
}
