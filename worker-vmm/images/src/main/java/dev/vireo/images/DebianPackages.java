package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static dev.vireo.images.ImageException.Reason.PACKAGE_NOT_FOUND;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Debian packages by name, fetched and verified by {@link Apt}, and kept in a cache directory. The
 * package lists are brought up to date only when apt does not know a package, or knows one that its
 * mirror no longer has.
 */
public final class DebianPackages {
  /** What {@code apt-get --print-uris} says of a file: 'address' name bytes hash. */
  private static final Pattern URI_LINE =
      Pattern.compile("^'[^']*' (?<file>\\S+) (?<bytes>\\d+) \\S*$", Pattern.MULTILINE);

  private final Path cache;
  private final Apt apt;
  private final Progress progress;
  private boolean listsUpdated;

  /**
   * @param cache where package files are kept; made when needed
   */
  public DebianPackages(Path cache, Apt apt, Progress progress) {
    this.cache = cache;
    this.apt = apt;
    this.progress = progress;
  }

  /**
   * Packages of Vireo's cache: those of the host's own release if the architecture is the host's,
   * otherwise those of a Debian release.
   *
   * @param release its code name
   */
  public static DebianPackages of(
      Path vireoCache,
      String release,
      Architecture architecture,
      Commands commands,
      Progress progress)
      throws ImageException {
    Apt apt =
        architecture == Architecture.ofHost()
            ? Apt.ofHost(commands)
            : Apt.of(vireoCache.resolve("apt"), release, architecture, commands);
    return new DebianPackages(vireoCache.resolve("packages"), apt, progress);
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
    String dependencies = apt.dependencies(metaPackage);
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
    Commands.Result answer = apt.get(Path.of("/"), "--print-uris", "download", name);
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
      Commands.Result answer = apt.get(partial, "download", name);
      if (answer.status() != 0 && !listsUpdated) {
        // The mirror may have a newer version than our lists say, and this one no longer.
        updateLists();
        answer = apt.get(partial, "download", name);
      }
      Path file = partial.resolve(candidate.fileName());
      if (answer.status() != 0 || !Files.exists(file)) {
        throw Apt.networkUnavailable("fetch " + name, answer);
      }
      Files.move(file, cache.resolve(candidate.fileName()), StandardCopyOption.ATOMIC_MOVE);
    } finally {
      FileTrees.delete(partial);
    }
  }

  private void updateLists() throws ImageException {
    progress.step("updating apt's package lists");
    listsUpdated = true;
    apt.update();
  }
}
