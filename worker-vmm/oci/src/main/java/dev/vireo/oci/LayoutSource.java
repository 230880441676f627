package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.IMAGE_UNKNOWN;
import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;
import static java.util.stream.Collectors.joining;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageName;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * An OCI image layout (OCI image specification, image-layout.md), as a directory or as a tar of
 * one.
 */
final class LayoutSource implements ImageSource {
  private static final String INDEX = "index.json";

  private final FileSet files;
  private final Optional<String> wanted;

  /**
   * @param wanted which image, if there are several: as annotations name it
   */
  LayoutSource(FileSet files, Optional<String> wanted) {
    this.files = files;
    this.wanted = wanted;
  }

  @Override
  public SourceImage resolve(Architecture architecture) throws IOException, ImageException {
    Manifest.Index named = named(index());
    Manifest.Single manifest =
        named.follow(
            architecture,
            descriptor -> {
              String what = "the manifest " + descriptor.digest();
              return Manifest.parse(
                  descriptor.read(blob(descriptor), what, Manifest.MOST_BYTES), what);
            });
    byte[] json =
        manifest
            .config()
            .read(blob(manifest.config()), "the image's configuration", ImageConfig.MOST_BYTES);
    ImageConfig config = ImageConfig.parse(json, architecture);
    for (Descriptor layer : manifest.layers()) {
      // All must be there before any is read.
      var _ = blob(layer);
    }
    return new SourceImage(
        config,
        manifest.layers(config, descriptor -> () -> openBlob(descriptor)),
        nameOf(named.entries().getFirst().name()));
  }

  private Manifest.Index index() throws IOException, ImageException {
    byte[] json;
    try (InputStream in =
        files
            .find(INDEX)
            .orElseThrow(() ->
                new ImageException(
                    MANIFEST_INVALID, "this is no OCI layout: it has no %s".formatted(INDEX)))
            .open()) {
      json = in.readNBytes(Manifest.MOST_BYTES);
    }
    if (Manifest.parse(json, INDEX) instanceof Manifest.Index index && !index.entries().isEmpty()) {
      return index;
    }
    throw new ImageException(MANIFEST_INVALID, INDEX + " lists no manifests");
  }

  /** Those of the entries that are for one image. */
  private Manifest.Index named(Manifest.Index index) throws ImageException {
    if (wanted.isEmpty()) {
      requireOneName(index.entries());
      return index;
    }
    List<Manifest.Entry> matching = matching(index, entry -> entry.name().equals(wanted.get()));
    if (matching.isEmpty()) {
      matching = matching(index, entry -> entry.names().contains(wanted.get()));
      // A tag alone may be that of several images.
      requireOneName(matching);
    }
    if (matching.isEmpty()) {
      throw new ImageException(
          IMAGE_UNKNOWN,
          "there is no image %s; there are: %s".formatted(wanted.get(), names(index.entries())));
    }
    return new Manifest.Index(matching);
  }

  private static List<Manifest.Entry> matching(
      Manifest.Index index, Predicate<Manifest.Entry> wanted) {
    return index.entries().stream().filter(wanted).toList();
  }

  private static List<String> names(List<Manifest.Entry> entries) {
    return entries.stream()
        .map(Manifest.Entry::name)
        .filter(Predicate.not(String::isEmpty))
        .distinct()
        .toList();
  }

  /** Entries of one name are one image, for several platforms. */
  private static void requireOneName(List<Manifest.Entry> entries) throws ImageException {
    List<String> names = names(entries);
    if (names.size() > 1) {
      throw new ImageException(
          IMAGE_UNKNOWN,
          "there are several images: append one of %s"
              .formatted(names.stream().map(name -> ":" + name).collect(joining(" "))));
    }
  }

  /** An annotation may hold a tag alone, which names nothing elsewhere. */
  private static Optional<ImageName> nameOf(String annotation) {
    return annotation.contains("/") || annotation.contains(":")
        ? Sources.nameIn(annotation)
        : Optional.empty();
  }

  private Blob blob(Descriptor descriptor) throws IOException, ImageException {
    String name = "blobs/" + descriptor.digest().replace(':', '/');
    return files
        .find(name)
        .orElseThrow(() ->
            new ImageException(
                MANIFEST_INVALID, "the layout is not complete: it has no %s".formatted(name)));
  }

  private InputStream openBlob(Descriptor descriptor) throws IOException {
    try {
      return blob(descriptor).open();
    } catch (ImageException e) {
      throw new IOException(e.getMessage(), e);
    }
  }

  @Override
  public void close() throws IOException {
    files.close();
  }
}
