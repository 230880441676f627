package dev.vireo.bench.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Debian packages as files, as this machine's apt knows them. */
public final class DebianPackageFiles {
  private static final Pattern INSTALLED = Pattern.compile("(?m)^Inst (\\S+) ");

  /** {@code 'address' name bytes hash}. */
  private static final Pattern URI_LINE = Pattern.compile("'[^']*' (\\S+) (\\d+) \\S*");

  private DebianPackageFiles() {}

  /**
   * Fetches these, with all that they depend on.
   *
   * @param packages where the files are kept for the next time
   */
  public static List<Path> download(List<String> wanted, Path packages) throws IOException {
    Files.createDirectories(packages);
    List<String> names =
        INSTALLED
            .matcher(
                HostCommand.run(
                    packages,
                    with(
                        wanted,
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
