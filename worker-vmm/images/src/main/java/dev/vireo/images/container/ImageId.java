package dev.vireo.images.container;

import static dev.vireo.images.ImageException.Reason.NAME_INVALID;

import dev.vireo.images.ImageException;
import java.util.regex.Pattern;

/**
 * What an image is known by besides its names: the SHA-256 of its configuration, as docker's image
 * IDs are. The configuration names every layer by digest, so it stands for the whole image; one
 * that is pulled under two names, or from a registry and from a file, is one.
 *
 * @param hex 64 lower-case hexadecimal digits
 */
public record ImageId(String hex) {
  private static final String ALGORITHM = "sha256:";
  private static final Pattern HEX = Pattern.compile("[0-9a-f]{64}");

  public ImageId {
    if (!HEX.matcher(hex).matches()) {
      throw new IllegalArgumentException("not a SHA-256 in hexadecimal: " + hex);
    }
  }

  /** Whether a text is a digest as OCI writes them, by the one algorithm that is taken here. */
  public static boolean isDigest(String text) {
    return text.startsWith(ALGORITHM) && HEX.matcher(text.substring(ALGORITHM.length())).matches();
  }

  /**
   * Reads one that is written {@code sha256:…}.
   *
   * @throws ImageException NAME_INVALID
   */
  public static ImageId parse(String text) throws ImageException {
    if (!isDigest(text)) {
      throw new ImageException(
          NAME_INVALID,
          "\"%s\" is no digest: it must be sha256: and 64 hexadecimal digits".formatted(text));
    }
    return new ImageId(text.substring(ALGORITHM.length()));
  }

  @Override
  public String toString() {
    return ALGORITHM + hex;
  }
}
