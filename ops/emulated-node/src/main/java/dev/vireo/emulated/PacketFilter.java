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
 * Debian's {@code nft} for an outer machine, with libraries of its own, which are not those of the
 * Java runtime there.
 */
final class PacketFilter {
  private static final String HOME = "opt/nft";

  /** The program's, and what they are linked with themselves. */
  private static final List<String> PACKAGES =
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
          "libc6");

  private PacketFilter() {}

  /**
   * Puts it where it is found in PATH.
   *
   * @param root of the outer machine
   * @param work directory that is made, and is of no use afterwards
   */
  static void addTo(
      Path root, DebianPackages packages, Architecture architecture, Path work, Commands commands)
      throws IOException, ImageException {
    Files.createDirectory(work);
    for (String name : PACKAGES) {
      packages.fetch(name).unpack(work, commands);
    }
    Path home = Files.createDirectories(root.resolve(HOME));
    Files.copy(work.resolve("usr/sbin/nft"), home.resolve("nft"));
    for (Path library : libraries(work)) {
      // By the names by which programs know them, which are links in the packages.
      FileTrees.copyFile(library, home.resolve(library.getFileName()));
    }
    Path start = root.resolve("sbin/nft");
    Files.writeString(start, script(architecture));
    Files.setPosixFilePermissions(start, PosixFilePermissions.fromString("rwxr-xr-x"));
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

  private static String script(Architecture architecture) {
    String loader =
        switch (architecture) {
          case X86_64 -> "ld-linux-x86-64.so.2";
          case ARM64 -> "ld-linux-aarch64.so.1";
        };
    String home = "/" + HOME;
    return "#!/bin/sh\nexec %s/%s --library-path %s %s/nft \"$@\"\n"
        .formatted(home, loader, home, home);
  }
}
