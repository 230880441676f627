package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.HOST_UNSUPPORTED;
import static dev.vireo.images.ImageException.Reason.PACKAGE_NOT_FOUND;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Debian packages by name, fetched and verified by {@link Apt}, and kept in a cache directory. The
 * package lists are brought up to date only when apt does not know a package, or knows one that its
 * mirror no longer has.
 */
public final class DebianPackages {
  /** What {@code apt-get --print-uris} says of a file: 'address' name bytes hash. */
  private static final Pattern URI_LINE =
      Pattern.compile("^'[^']*' (\\S+) (\\d+) \\S*$", Pattern.MULTILINE);

  /** How Debian names a package of shared libraries, but for those of Perl and Python. */
  private static final Pattern LIBRARY =
      Pattern.compile("(lib(?!perl|python)(?!.*-perl$).*|zlib1g)");

  /** How the directories of downloads that go on begin. */
  private static final String DOWNLOAD = ".download-";

  /** No download takes so long. */
  private static final Duration LONG_AGO = Duration.ofHours(1);

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
    return fetchAll(() -> List.of(name)).getFirst();
  }

  /** What is to be fetched, as the lists are now. */
  @FunctionalInterface
  private interface Names {
    List<String> find() throws ImageException;
  }

  private List<DebianPackage> fetchAll(Names names) throws ImageException {
    Optional<List<DebianPackage>> fetched = tryFetch(names.find());
    return fetched.isPresent() ? fetched.get() : tryFetch(names.find()).orElseThrow();
  }

  /** Nothing, once, if the lists had to be updated: they may tell other names and versions now. */
  private Optional<List<DebianPackage>> tryFetch(List<String> names) throws ImageException {
    List<Candidate> candidates = candidates(names);
    try {
      Files.createDirectories(cache);
      sweep();
      List<Candidate> missing = new ArrayList<>();
      for (Candidate candidate : candidates) {
        Path cached = cache.resolve(candidate.fileName());
        if (!Files.isRegularFile(cached) || Files.size(cached) != candidate.bytes()) {
          missing.add(candidate);
        }
      }
      if (!missing.isEmpty() && !download(missing)) {
        return Optional.empty();
      }
    } catch (IOException e) {
      throw new ImageException(
          HOST_UNSUPPORTED, "cannot write the package cache %s: %s".formatted(cache, e), e);
    }
    List<DebianPackage> packages = new ArrayList<>();
    for (Candidate candidate : candidates) {
      packages.add(DebianPackage.of(cache.resolve(candidate.fileName())));
    }
    return Optional.of(packages);
  }

  /** Removes what killed downloads have left. */
  private void sweep() throws IOException {
    try (Stream<Path> entries = Files.list(cache)) {
      for (Path entry : entries.toList()) {
        if (String.valueOf(entry.getFileName()).startsWith(DOWNLOAD)
            && Files.getLastModifiedTime(entry)
                .toInstant()
                .isBefore(Instant.now().minus(LONG_AGO))) {
          FileTrees.delete(entry);
        }
      }
    } catch (NoSuchFileException e) {
      // Another process sweeps too.
    }
  }

  /**
   * The version that {@link #fetch} would fetch.
   *
   * @throws ImageException as {@link #fetch}
   */
  public String version(String name) throws ImageException {
    return candidates(List.of(name)).getFirst().version();
  }

  /**
   * The package that a meta-package stands for now: its first dependency whose name matches.
   *
   * @throws ImageException PACKAGE_NOT_FOUND, NETWORK_UNAVAILABLE, HOST_UNSUPPORTED (no apt)
   */
  public DebianPackage fetchDependency(String metaPackage, Pattern dependency)
      throws ImageException {
    return fetchAll(() -> List.of(dependency(metaPackage, dependency))).getFirst();
  }

  private String dependency(String metaPackage, Pattern dependency) throws ImageException {
    // The lists may know no version of it yet; candidates() sees to that.
    var _ = candidates(List.of(metaPackage));
    String dependencies = apt.dependencies(metaPackage);
    Matcher matcher =
        Pattern.compile("Depends: (" + dependency.pattern() + ")$", Pattern.MULTILINE)
            .matcher(dependencies);
    if (!matcher.find()) {
      throw new ImageException(
          PACKAGE_NOT_FOUND,
          "%s depends on no %s: %s".formatted(metaPackage, dependency, dependencies.strip()));
    }
    return matcher.group(1);
  }

  /**
   * Packages and the libraries that their programs are linked with. What else they depend on is
   * left out: interpreters of their scripts, for example.
   *
   * @throws ImageException as {@link #fetch}
   */
  public List<DebianPackage> fetchWithLibraries(List<String> names) throws ImageException {
    var _ = candidates(names);
    return fetchAll(() ->
        apt.wouldInstall(names).stream()
            .filter(name -> names.contains(name) || LIBRARY.matcher(name).matches())
            .toList());
  }

  /** A file that the mirror has. */
  private record Candidate(String fileName, long bytes) {
    String packageName() {
      return fileName.substring(0, fileName.indexOf('_'));
    }

    String version() throws ImageException {
      return DebianPackage.of(Path.of(fileName)).version();
    }
  }

  private List<Candidate> candidates(List<String> names) throws ImageException {
    Commands.Result answer = apt.uris(names);
    List<Candidate> candidates =
        URI_LINE
            .matcher(answer.output())
            .results()
            .map(line -> new Candidate(line.group(1), Long.parseLong(line.group(2))))
            .toList();
    if (answer.status() == 0 && candidates.size() == names.size()) {
      return candidates;
    }
    if (!listsUpdated) {
      updateLists();
      return candidates(names);
    }
    throw new ImageException(
        PACKAGE_NOT_FOUND,
        "Debian has no package %s for this host: %s"
            .formatted(String.join(" or ", names), answer.errors().strip()));
  }

  /** Returns false if the lists had to be updated. */
  private boolean download(List<Candidate> candidates) throws IOException, ImageException {
    List<String> names = candidates.stream().map(Candidate::packageName).toList();
    String what = names.size() == 1 ? names.getFirst() : names.size() + " packages";
    double bytes = candidates.stream().mapToLong(Candidate::bytes).sum();
    progress.step("fetching %s (%.1f MB)".formatted(what, bytes / 1e6));
    Path partial = Files.createTempDirectory(cache, DOWNLOAD);
    try {
      Commands.Result answer = apt.download(partial, names);
      if (answer.status() != 0 && !listsUpdated) {
        // The mirror may have a newer version than our lists say, and this one no longer.
        updateLists();
        return false;
      }
      for (Candidate candidate : candidates) {
        Path file = partial.resolve(candidate.fileName());
        if (answer.status() != 0 || !Files.exists(file)) {
          throw Apt.networkUnavailable("fetch " + what, answer);
        }
        Files.move(file, cache.resolve(candidate.fileName()), StandardCopyOption.ATOMIC_MOVE);
      }
      return true;
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
