package dev.vireo.emulated;

import dev.vireo.images.Architecture;
import dev.vireo.images.Commands;
import dev.vireo.images.DebianPackages;
import dev.vireo.images.FileTrees;
import dev.vireo.images.ImageException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Stream;

/**
 * A program of Debian's for an outer machine, with libraries of its own, which are not those of the
 * Java runtime there.
 *
 * @param path in its package
 * @param packages the program's, and what it and its libraries are linked with
 */
record DebianProgram(Path path, List<String> packages) {
  /** What makes the filters of microVMs' networks. */
  static final DebianProgram NFT =
      new DebianProgram(
          Path.of("usr/sbin/nft"),
          List.of(
              "nftables",
              "libnftables1",
              "libnftnl11",
              "libmnl0",
              "libxtables12",
              "libjansson4",
              "libgmp10",
              "libedit2",
              "libbsd0",
              "libmd0",
              "libtinfo6",
              "libc6"));

  /** What makes root file systems of container images. */
  static final DebianProgram TAR2SQFS =
      new DebianProgram(
          Path.of("usr/bin/tar2sqfs"),
          List.of(
              "squashfs-tools-ng",
              "libsquashfs1",
              "liblzo2-2",
              "zlib1g",
              "liblzma5",
              "libzstd1",
              "liblz4-1",
              "libc6"));

  /** Has a program end with the one that calls it; busybox's cannot. */
  static final DebianProgram SETPRIV =
      new DebianProgram(Path.of("usr/bin/setpriv"), List.of("util-linux", "libcap-ng0", "libc6"));

  DebianProgram {
    packages = List.copyOf(packages);
  }

  /**
   * Puts it where it is found in PATH.
   *
   * @param root of the outer machine
   * @param work directory that is made, and is of no use afterwards
   */
  void addTo(
      Path root, DebianPackages debian, Architecture architecture, Path work, Commands commands)
      throws IOException, ImageException {
    Files.createDirectory(work);
    for (String name : packages) {
      debian.fetch(name).unpack(work, commands);
    }
    Path home = Files.createDirectories(root.resolve("opt").resolve(name()));
    Files.copy(work.resolve(path), home.resolve(name()));
    for (Path library : libraries(work)) {
      // By the names by which programs know them, which are links in the packages.
      FileTrees.copyFile(library, home.resolve(library.getFileName()));
    }
    Path start = root.resolve("bin").resolve(name());
    Files.deleteIfExists(start);
    Files.writeString(start, script(architecture));
    Files.setPosixFilePermissions(start, PosixFilePermissions.fromString("rwxr-xr-x"));
  }

  private String name() {
    return String.valueOf(path.getFileName());
  }

  private static List<Path> libraries(Path work) throws IOException {
    try (Stream<Path> files = Files.walk(work)) {
      return files
          .filter(file -> file.getParent() != null && isLibraryDirectory(file.getParent()))
          .filter(file -> String.valueOf(file.getFileName()).contains(".so"))
          .filter(Files::isRegularFile)
          .toList();
    }
  }

  /** And not those of modules that a library may load. */
  private static boolean isLibraryDirectory(Path directory) {
    return String.valueOf(directory.getFileName()).endsWith("-linux-gnu");
  }

  private String script(Architecture architecture) {
    String loader =
        switch (architecture) {
          case X86_64 -> "ld-linux-x86-64.so.2";
          case ARM64 -> "ld-linux-aarch64.so.1";
        };
    String home = "/opt/" + name();
    return "#!/bin/sh\nexec %s/%s --library-path %s %s/%s \"$@\"\n"
        .formatted(home, loader, home, home, name());
  }
}
