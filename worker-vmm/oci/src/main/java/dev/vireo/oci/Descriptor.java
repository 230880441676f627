package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.DIGEST_MISMATCH;
import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;

import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageId;
import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;
import java.util.HexFormat;

/**
 * Names a blob by what it holds (OCI image specification, descriptor.md).
 *
 * @param digest {@code sha256:…}
 * @param size in bytes
 */
record Descriptor(String digest, long size) {
  Descriptor {
    if (!ImageId.isDigest(digest) || size < 0) {
      throw new IllegalArgumentException("no descriptor: %s, %d bytes".formatted(digest, size));
    }
  }

  /** The descriptor of these bytes. */
  static Descriptor of(byte[] content) {
    return new Descriptor(digest(Digests.sha256().digest(content)), content.length);
  }

  static String digest(byte[] sha256) {
    return "sha256:" + HexFormat.of().formatHex(sha256);
  }

  /**
   * Reads the blob whole.
   *
   * @param what for people: "the manifest"
   * @param mostBytes that are taken
   * @throws ImageException MANIFEST_INVALID if it is larger; DIGEST_MISMATCH
   */
  byte[] read(Blob blob, String what, int mostBytes) throws IOException, ImageException {
    if (size > mostBytes) {
      throw new ImageException(
          MANIFEST_INVALID, "%s has %d bytes; %d are taken".formatted(what, size, mostBytes));
    }
    byte[] content;
    try (InputStream in = blob.open()) {
      content = in.readNBytes(Math.toIntExact(size));
      if (content.length < size || in.read() >= 0) {
        throw mismatch(what, "is not %d bytes long".formatted(size));
      }
    }
    MessageDigest sha256 = Digests.sha256();
    requireEqual(digest(sha256.digest(content)), what);
    return content;
  }

  /** Throws DIGEST_MISMATCH unless the blob's digest is this one. */
  void requireEqual(String actual, String what) throws ImageException {
    if (!actual.equals(digest)) {
      throw mismatch(what, "has the digest " + actual);
    }
  }

  ImageException mismatch(String what, String difference) {
    return new ImageException(
        DIGEST_MISMATCH,
        "%s should be %s, but %s: it was damaged on its way; pull again, or ask who made it"
            .formatted(what, digest, difference));
  }
}
