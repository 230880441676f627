package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.IMAGE_UNKNOWN;
import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;

import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageName;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Sources of images as they are written on a command line, which is as skopeo does. */
final class Sources {
  private static final String LAYOUT = "oci:";
  private static final String LAYOUT_TAR = "oci-archive:";
  private static final String DOCKER_TAR = "docker-archive:";
  private static final String ANY_TAR = "archive:";

  /** A file or directory, and which of its images. */
  private record Place(Path path, Optional<String> image) {
    /** {@code PATH[:IMAGE]}; a path that there is may have colons. */
    static Place parse(String text) throws ImageException {
      Path whole = Path.of(text);
      if (Files.exists(whole)) {
        return new Place(whole, Optional.empty());
      }
      int colon = text.indexOf(':');
      if (colon > 0 && Files.exists(Path.of(text.substring(0, colon)))) {
        return new Place(Path.of(text.substring(0, colon)), Optional.of(text.substring(colon + 1)));
      }
      throw new ImageException(IMAGE_UNKNOWN, "there is no file %s".formatted(text));
    }
  }

  private Sources() {}

  /**
   * Opens what is on this machine.
   *
   * @param text {@code oci:DIRECTORY}, {@code oci-archive:FILE}, {@code docker-archive:FILE}, or
   *     {@code archive:FILE} for either of the two; each with {@code :IMAGE} if there are several
   *     in it
   * @return nothing if it is not written so: then it is a name
   * @throws ImageException IMAGE_UNKNOWN if the file is not there; MANIFEST_INVALID if it is no tar
   */
  static Optional<ImageSource> open(String text) throws IOException, ImageException {
    if (text.startsWith(LAYOUT)) {
      Place place = Place.parse(text.substring(LAYOUT.length()));
      return Optional.of(new LayoutSource(FileSet.ofDirectory(place.path()), place.image()));
    }
    if (text.startsWith(LAYOUT_TAR)) {
      Place place = Place.parse(text.substring(LAYOUT_TAR.length()));
      return Optional.of(new LayoutSource(tar(place.path()), place.image()));
    }
    if (text.startsWith(DOCKER_TAR)) {
      Place place = Place.parse(text.substring(DOCKER_TAR.length()));
      return Optional.of(new DockerArchiveSource(tar(place.path()), place.image()));
    }
    if (text.startsWith(ANY_TAR)) {
      Place place = Place.parse(text.substring(ANY_TAR.length()));
      return Optional.of(recognised(tar(place.path()), place.image()));
    }
    return Optional.empty();
  }

  /** Newer dockers save what is an OCI layout too: its names are in the manifest of their own. */
  private static ImageSource recognised(FileSet files, Optional<String> image)
      throws IOException, ImageException {
    if (files.find("manifest.json").isPresent()) {
      return new DockerArchiveSource(files, image);
    }
    if (files.find("index.json").isPresent()) {
      return new LayoutSource(files, image);
    }
    files.close();
    throw new ImageException(
        MANIFEST_INVALID,
        "the archive is no image: it has neither the manifest.json of docker save nor the"
            + " index.json of an OCI layout");
  }

  /** The name that an archive gives its image; none if it is none here, or that of Vireo's own. */
  static Optional<ImageName> nameIn(String text) {
    try {
      return Optional.of(ImageName.parse(text)).filter(ImageName.InRegistry.class::isInstance);
    } catch (ImageException e) {
      return Optional.empty();
    }
  }

  private static FileSet tar(Path file) throws ImageException {
    try {
      return FileSet.ofTar(file);
    } catch (IOException e) {
      throw new ImageException(
          MANIFEST_INVALID,
          "%s cannot be read as a tar: %s; one that is compressed must be unpacked by gunzip first"
              .formatted(file, e.getMessage()),
          e);
    }
  }
}
