package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.PACKAGE_INVALID;

import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A binary package file (deb(5)).
 *
 * @param file the .deb
 */
public record DebianPackage(String name, String version, Path file) {
  private static final Pattern FILE_NAME = Pattern.compile("([^_]+)_([^_]+)_([^_]+)\\.deb");

  /** Reads name and version off a file name as apt writes it; a version's colon is written %3a. */
  static DebianPackage of(Path file) throws ImageException {
    Matcher matcher = FILE_NAME.matcher(String.valueOf(file.getFileName()));
    if (!matcher.matches()) {
      throw new ImageException(PACKAGE_INVALID, "not a package's file name: " + file);
    }
    return new DebianPackage(matcher.group(1), matcher.group(2).replace("%3a", ":"), file);
  }

  /** Unpacks the files of the package, but runs none of its scripts. */
  public void unpack(Path directory, Commands commands) throws ImageException {
    commands.runOrThrow(
        directory, List.of("dpkg-deb", "--extract", file.toString(), directory.toString()));
  }

  /** For people and for provenance: name and version. */
  @Override
  public String toString() {
    return name + " " + version;
  }
}
