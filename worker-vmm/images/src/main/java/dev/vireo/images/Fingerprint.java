package dev.vireo.images;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/** A SHA-256 over all that a build's result depends on. */
public final class Fingerprint {
  private final MessageDigest digest;

  public Fingerprint() {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** Adds bytes, with their length, so that neighbours cannot be mistaken for one another. */
  public Fingerprint add(byte[] content) {
    digest.update(ByteBuffer.allocate(Integer.BYTES).putInt(0, content.length));
    digest.update(content);
    return this;
  }

  /** Adds a text. */
  public Fingerprint add(String text) {
    return add(text.getBytes(UTF_8));
  }

  /**
   * Adds a file or all files of a directory by path, size and time of last change, as make does:
   * contents are not read.
   */
  public Fingerprint addFiles(Path root) throws IOException {
    List<Path> files;
    try (Stream<Path> tree = Files.walk(root)) {
      files = tree.filter(file -> !Files.isDirectory(file)).sorted().toList();
    }
    for (Path file : files) {
      add(
          "%s %d %s"
              .formatted(
                  root.relativize(file),
                  Files.size(file),
                  Files.getLastModifiedTime(file, LinkOption.NOFOLLOW_LINKS)));
    }
    return this;
  }

  /** The hash of all that was added, in hexadecimal. Call once. */
  public String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }
}
