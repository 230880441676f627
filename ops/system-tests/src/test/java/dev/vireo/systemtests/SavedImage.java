package dev.vireo.systemtests;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

/** A container image of one layer, as {@code docker save} writes it. */
final class SavedImage {
  private SavedImage() {}

  /** Whose layer is as its configuration says. */
  static byte[] of(String tag, String architecture, byte[] layer) throws IOException {
    return of(tag, architecture, layer, layer);
  }

  /**
   * Writes one.
   *
   * @param architecture as docker calls it
   * @param promised the layer that its configuration has the digest of
   */
  static byte[] of(String tag, String architecture, byte[] layer, byte[] promised)
      throws IOException {
    String config =
        """
        {"architecture": "%s", "os": "linux", "config": {"Env": ["PATH=/bin"]},
         "rootfs": {"type": "layers", "diff_ids": ["sha256:%s"]}}
        """
            .formatted(architecture, sha256(promised));
    Map<String, byte[]> files = new LinkedHashMap<>();
    files.put(
        "manifest.json",
        "[{\"Config\": \"c.json\", \"RepoTags\": [\"%s\"], \"Layers\": [\"l.tar\"]}]"
            .formatted(tag)
            .getBytes(UTF_8));
    files.put("c.json", config.getBytes(UTF_8));
    files.put("l.tar", layer);
    return tar(files);
  }

  /** A layer with a program, executable. */
  static byte[] layer(Path program, String name) throws IOException {
    return tar(Map.of(name, Files.readAllBytes(program)));
  }

  static byte[] tar(Map<String, byte[]> files) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes)) {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        TarArchiveEntry entry = new TarArchiveEntry(file.getKey());
        entry.setSize(file.getValue().length);
        entry.setMode(0100755);
        tar.putArchiveEntry(entry);
        tar.write(file.getValue());
        tar.closeArchiveEntry();
      }
    }
    return bytes.toByteArray();
  }

  private static String sha256(byte[] content) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has it", e);
    }
  }
}
