package dev.vireo.bench.sandbox;

import dev.vireo.bench.cluster.DebianPackageFiles;
import dev.vireo.bench.cluster.HostCommand;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A root file system of Debian packages, unpacked and not configured: python3 to have something to
 * read, busybox for a shell, and an ssh server.
 */
final class DebianTree {
  private static final List<String> PACKAGES = List.of("python3", "busybox-static", "dropbear-bin");

  private DebianTree() {}

  /**
   * Makes it in an empty directory.
   *
   * @param packages where files of packages are kept for the next time
   */
  static void unpack(Path packages, Path root) throws IOException {
    // Debian's merged /usr, which no package makes.
    for (String directory : List.of("bin", "sbin", "lib", "lib64")) {
      Files.createDirectories(root.resolve("usr").resolve(directory));
      Files.createSymbolicLink(root.resolve(directory), Path.of("usr", directory));
    }
    for (Path file : DebianPackageFiles.download(PACKAGES, packages)) {
      HostCommand.run(
          root,
          "sh",
          "-c",
          "dpkg-deb --fsys-tarfile '%s' | tar -x --keep-directory-symlink".formatted(file));
    }
    for (String waste : List.of("doc", "man", "locale")) {
      HostCommand.run(root, "rm", "-rf", "usr/share/" + waste);
    }
    for (String applet : List.of("sh", "true", "cat", "mkdir", "sleep")) {
      Path link = root.resolve("usr/bin").resolve(applet);
      Files.deleteIfExists(link);
      Files.createSymbolicLink(link, Path.of("busybox"));
    }
    for (String directory : List.of("etc/dropbear", "root/.ssh", "proc", "sys", "dev", "tmp")) {
      Files.createDirectories(root.resolve(directory));
    }
    Files.writeString(root.resolve("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
    Files.writeString(root.resolve("etc/group"), "root:x:0:\n");
    Files.writeString(root.resolve("etc/shells"), "/bin/sh\n");
  }
}
