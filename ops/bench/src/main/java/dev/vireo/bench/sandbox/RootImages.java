package dev.vireo.bench.sandbox;

import dev.vireo.bench.cluster.HostCommand;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** One root file system in each of the formats that a guest's kernel reads, as files. */
final class RootImages {
  private static final double MIB = 1 << 20;

  private RootImages() {}

  /** How it is made; the name is the kernel's. */
  enum Format {
    /** As container images are kept. */
    SQUASHFS(
        "tar -c . | tar2sqfs --quiet --no-skip --compressor zstd --comp-extra level=3"
            + " --block-size 131072 \"$0\""),
    /** Compressed as well as it can be by what Debian's kernel reads. */
    EROFS("mkfs.erofs -zlz4hc \"$0\" ."),
    /** Not compressed. */
    EXT4("mke2fs -q -t ext4 -m 0 -O ^has_journal -d . \"$0\" \"$1\"m");

    private final String command;

    Format(String command) {
      this.command = command;
    }

    String label() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  /**
   * One of them.
   *
   * @param mib of the file
   */
  record Root(Format format, double mib, Path file) {}

  /** Makes them in a directory. */
  static List<Root> make(Path tree, Path directory) throws IOException {
    String used = HostCommand.run(tree, "du", "-sxm", ".");
    // Room for inodes and directories.
    long mib = Long.parseLong(used.substring(0, used.indexOf('\t'))) * 5 / 4 + 8;
    List<Root> roots = new ArrayList<>();
    for (Format format : Format.values()) {
      Path file = directory.resolve("root." + format.label());
      HostCommand.run(tree, "sh", "-ec", format.command, file.toString(), Long.toString(mib));
      roots.add(new Root(format, Files.size(file) / MIB, file));
    }
    return roots;
  }
}
