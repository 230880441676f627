package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static dev.vireo.images.ImageException.Reason.NETWORK_UNAVAILABLE;
import static dev.vireo.images.ImageException.Reason.PACKAGE_NOT_FOUND;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Debian packages by name, fetched and verified by the host's apt, and kept in a cache directory.
 * The package lists are brought up to date only when apt does not know a package, or knows one that
 * its mirror no longer has.
 */
public final class DebianPackages {
  /** What {@code apt-get --print-uris} says of a file: 'address' name bytes hash. */
  private static final Pattern URI_LINE =
      Pattern.compile("^'[^']*' (?<file>\\S+) (?<bytes>\\d+) \\S*$", Pattern.MULTILINE);

  private final Path cache;
  private final Commands commands;
  private final Progress progress;
  private boolean listsUpdated;

  /**
   * @param cache where package files are kept; made when needed
   */
  public DebianPackages(Path cache, Commands commands, Progress progress) {
    this.cache = cache;
    this.commands = commands;
    this.progress = progress;
  }

  /**
   * The current version of a package.
   *
   * @throws ImageException PACKAGE_NOT_FOUND, NETWORK_UNAVAILABLE, HOST_UNSUPPORTED (no apt)
   */
  public DebianPackage fetch(String name) throws ImageException {
    Candidate candidate = candidate(name);
    Path cached = cache.resolve(candidate.fileName());
    try {
      if (!Files.isRegularFile(cached) || Files.size(cached) != candidate.bytes()) {
        Files.createDirectories(cache);
        progress.step("fetching %s (%.1f MB)".formatted(name, candidate.bytes() / 1e6));
        download(name, candidate);
      }
    } catch (IOException e) {
      throw new ImageException(
          HOST_UNSUPPORTED, "cannot write the package cache %s: %s".formatted(cache, e), e);
    }
    return DebianPackage.of(cached);
  }

  /**
   * The package that a meta-package stands for now: its first dependency whose name matches.
   *
   * @throws ImageException PACKAGE_NOT_FOUND, NETWORK_UNAVAILABLE, HOST_UNSUPPORTED (no apt)
   */
  public DebianPackage fetchDependency(String metaPackage, Pattern dependency)
      throws ImageException {
    // The lists may know no version of it yet; candidate() sees to that.
    candidate(metaPackage);
    String dependencies =
        commands.runOrThrow(Path.of("/"), List.of("apt-cache", "depends", metaPackage));
    Matcher matcher =
        Pattern.compile("Depends: (" + dependency.pattern() + ")$", Pattern.MULTILINE)
            .matcher(dependencies);
    if (!matcher.find()) {
      throw new ImageException(
          PACKAGE_NOT_FOUND,
          "%s depends on no %s: %s".formatted(metaPackage, dependency, dependencies.strip()));
    }
    return fetch(matcher.group(1));
  }

  private record Candidate(String fileName, long bytes) {}

  private Candidate candidate(String name) throws ImageException {
    Commands.Result answer = apt(Path.of("/"), "--print-uris", "download", name);
    Matcher matcher = URI_LINE.matcher(answer.output());
    if (answer.status() == 0 && matcher.find()) {
      return new Candidate(matcher.group("file"), Long.parseLong(matcher.group("bytes")));
    }
    if (!listsUpdated) {
      updateLists();
      return candidate(name);
    }
    throw new ImageException(
        PACKAGE_NOT_FOUND,
        "Debian has no package %s for this host: %s".formatted(name, answer.errors().strip()));
  }

  private void download(String name, Candidate candidate) throws IOException, ImageException {
    Path partial = Files.createTempDirectory(cache, ".download-");
    try {
      Commands.Result answer = apt(partial, "download", name);
      if (answer.status() != 0 && !listsUpdated) {
        // The mirror may have a newer version than our lists say, and this one no longer.
        updateLists();
        answer = apt(partial, "download", name);
      }
      Path file = partial.resolve(candidate.fileName());
      if (answer.status() != 0 || !Files.exists(file)) {
        throw networkUnavailable("fetch " + name, answer);
      }
      Files.move(file, cache.resolve(candidate.fileName()), StandardCopyOption.ATOMIC_MOVE);
    } finally {
      FileTrees.delete(partial);
    }
  }

  private void updateLists() throws ImageException {
    progress.step("updating apt's package lists");
    listsUpdated = true;
    Commands.Result answer = apt(Path.of("/"), "update");
    if (answer.status() == 0 && !answer.errors().contains("Failed to fetch")) {
      return;
    }
    if (answer.errors().contains("Permission denied")) {
      throw new ImageException(
          HOST_UNSUPPORTED, "apt's package lists are out of date; run: sudo apt-get update");
    }
    throw networkUnavailable("update apt's package lists", answer);
  }

  private Commands.Result apt(Path directory, String... arguments) throws ImageException {
    // apt's own user cannot write into a private cache directory; without this it warns of that.
    List<String> command =
        new java.util.ArrayList<>(List.of("apt-get", "-q", "-o", "APT::Sandbox::User=root"));
    command.addAll(List.of(arguments));
    return commands.run(directory, command);
  }

  private static ImageException networkUnavailable(String what, Commands.Result answer) {
    return new ImageException(
        NETWORK_UNAVAILABLE,
        "cannot %s: is there a network, and are apt's mirrors right? apt says: %s"
            .formatted(what, answer.errors().strip()));
  }
}
