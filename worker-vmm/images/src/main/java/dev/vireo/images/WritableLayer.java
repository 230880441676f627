package dev.vireo.images;

import java.nio.file.Path;
import java.util.List;

/**
 * The template of containers' writable layers: an empty ext4 file system that a guest's agent grows
 * to the size of its disk (EXT4_IOC_RESIZE_FS), so that one template does for all sizes.
 */
final class WritableLayer {
  static final int MIB = 16;

  private static final List<String> MAKE =
      List.of(
          "mke2fs",
          "-q",
          "-F",
          "-t",
          "ext4",
          "-m",
          "0",
          "-b",
          "4096",
          "-I",
          "256",
          "-L",
          "writable",
          // The least that there can be: what is written is lost with the microVM.
          "-J",
          "size=4",
          // Group descriptors may then be anywhere, so there is no bound to growth.
          "-O",
          "meta_bg,^resize_inode,64bit",
          // What is not written takes no room.
          "-E",
          "root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1");

  private WritableLayer() {}

  /**
   * Makes the template's file, which is sparse.
   *
   * @throws ImageException HOST_UNSUPPORTED without mke2fs
   */
  static void make(Path file, Commands commands) throws ImageException {
    List<String> command = new java.util.ArrayList<>(MAKE);
    command.addAll(List.of(file.toString(), MIB + "M"));
    var _ = commands.runOrThrow(Path.of("/"), command);
  }

  /** What it is made by: an image that has one is made again when that changes. */
  static String recipe() {
    return String.join(" ", MAKE) + " " + MIB;
  }
}
