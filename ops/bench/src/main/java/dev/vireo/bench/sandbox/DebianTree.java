package dev.vireo.bench.sandbox;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A root file system of Debian packages, unpacked and not configured: python3 to have something to
 * read, busybox for a shell, and an ssh server.
 */
final class DebianTree {
  private static final List<String> PACKAGES = List.of("python3", "busybox-static", "dropbear-bin");

  private static final Pattern INSTALLED = Pattern.compile("(?m)^Inst (\\S+) ");

  /** {@code 'address' name bytes hash}. */
  private static final Pattern URI_LINE = Pattern.compile("'[^']*' (\\S+) (\\d+) \\S*");

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
    for (Path file : download(packages)) {
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

  /** With all that they depend on, in the versions that the host's apt knows. */
  private static List<Path> download(Path packages) throws IOException {
    Files.createDirectories(packages);
    List<String> names =
        INSTALLED
            .matcher(
                HostCommand.run(
                    packages,
                    with(
                        PACKAGES,
                        "apt-get",
                        "-q",
                        "install",
                        "--simulate",
                        "--no-install-recommends",
                        "-o",
                        "Dir::State::status=/dev/null")))
            .results()
            .map((MatchResult line) -> line.group(1))
            .toList();
    List<Path> files = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    // From elsewhere: of what is in its directory already apt says nothing.
    String uris =
        HostCommand.run(Path.of("/"), with(names, "apt-get", "-q", "--print-uris", "download"));
    for (String line : uris.lines().toList()) {
      Matcher uri = URI_LINE.matcher(line);
      if (uri.matches()) {
        Path file = packages.resolve(uri.group(1));
        files.add(file);
        if (!Files.exists(file) || Files.size(file) != Long.parseLong(uri.group(2))) {
          missing.add(uri.group(1).replaceFirst("_.*", ""));
        }
      }
    }
    if (files.size() != names.size()) {
      throw new IOException("apt has no file for some of " + names + ": " + uris);
    }
    if (!missing.isEmpty()) {
      HostCommand.run(
          packages, with(missing, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download"));
    }
    return files;
  }

  private static String[] with(List<String> names, String... first) {
    return Stream.concat(Stream.of(first), names.stream()).toArray(String[]::new);
  }
}
