package dev.vireo.images;

import java.nio.file.Path;
import java.util.List;

/** Raw ext4 file systems, made from a directory without mounting anything. */
public final class Ext4 {
  private Ext4() {}

  /**
   * Makes a file with an ext4 file system that holds what a directory does. The file is sparse.
   *
   * @param contents its owner and permissions become the root directory's permissions; the owner is
   *     root
   * @param sizeMib of the file system
   * @param options more arguments of mke2fs, for example {@code -O ^has_journal}
   * @throws ImageException HOST_UNSUPPORTED without mke2fs; TOOL_FAILED, if it does not fit for
   *     example
   */
  public static void make(
      Path contents, Path file, int sizeMib, String label, Commands commands, String... options)
      throws ImageException {
    List<String> command =
        new java.util.ArrayList<>(
            List.of("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", label));
    command.addAll(List.of(options));
    command.addAll(
        List.of(
            "-E",
            // No zeroing left to the guest's idle time.
            "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0",
            "-d",
            contents.toString(),
            file.toString(),
            sizeMib + "M"));
    commands.runOrThrow(contents, command);
  }
}
