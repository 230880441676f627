package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.airlift.compress.v3.zstd.ZstdJavaOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.attribute.FileTime;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPOutputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;

/** A tar that a test makes up, good or bad. */
final class Tar {
  /** The time of every entry, seconds since 1970. */
  static final long TIME = 1_700_000_000;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes, ISO_8859_1.name());

  Tar() {
    tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_GNU);
    tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_STAR);
  }

  /** With names that are too long in PAX headers, not in GNU's. */
  Tar pax() {
    tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
    tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_POSIX);
    return this;
  }

  Tar file(String name, String content) {
    return file(name, content, 0644);
  }

  Tar file(String name, String content, int mode) {
    TarArchiveEntry entry = entry(name, TarConstants.LF_NORMAL, mode);
    return add(entry, content.getBytes(UTF_8));
  }

  Tar owned(String name, String content, long uid, long gid) {
    TarArchiveEntry entry = entry(name, TarConstants.LF_NORMAL, 0600);
    entry.setUserId(uid);
    entry.setGroupId(gid);
    return add(entry, content.getBytes(UTF_8));
  }

  Tar directory(String name, int mode) {
    return add(entry(name + "/", TarConstants.LF_DIR, mode), new byte[0]);
  }

  Tar symbolicLink(String name, String target) {
    TarArchiveEntry entry = entry(name, TarConstants.LF_SYMLINK, 0777);
    entry.setLinkName(target);
    return add(entry, new byte[0]);
  }

  Tar hardLink(String name, String target) {
    TarArchiveEntry entry = entry(name, TarConstants.LF_LINK, 0644);
    entry.setLinkName(target);
    return add(entry, new byte[0]);
  }

  Tar device(String name, byte type, int major, int minor) {
    TarArchiveEntry entry = entry(name, type, 0660);
    entry.setDevMajor(major);
    entry.setDevMinor(minor);
    return add(entry, new byte[0]);
  }

  Tar ofType(String name, char type) {
    return add(entry(name, (byte) type, 0644), new byte[0]);
  }

  Tar whiteout(String path) {
    int slash = path.lastIndexOf('/') + 1;
    return file(path.substring(0, slash) + ".wh." + path.substring(slash), "");
  }

  Tar opaque(String directory) {
    return file(directory + "/.wh..wh..opq", "");
  }

  /** PAX records for the next entry, as bytes. */
  Tar records(byte[] records) {
    return add(entry("PaxHeaders", TarConstants.LF_PAX_EXTENDED_HEADER_LC, 0644), records);
  }

  static byte[] record(String key, byte[] value) {
    ByteArrayOutputStream rest = new ByteArrayOutputStream();
    rest.writeBytes((" " + key + "=").getBytes(UTF_8));
    rest.writeBytes(value);
    rest.write('\n');
    int length = rest.size() + 2;
    if (length >= 100) {
      length++;
    }
    ByteArrayOutputStream record = new ByteArrayOutputStream();
    record.writeBytes(Integer.toString(length).getBytes(UTF_8));
    record.writeBytes(rest.toByteArray());
    return record.toByteArray();
  }

  private static TarArchiveEntry entry(String name, byte type, int mode) {
    TarArchiveEntry entry = new TarArchiveEntry(name, type, true);
    entry.setMode(mode);
    entry.setLastModifiedTime(FileTime.from(TIME, TimeUnit.SECONDS));
    return entry;
  }

  private Tar add(TarArchiveEntry entry, byte[] content) {
    try {
      entry.setSize(content.length);
      tar.putArchiveEntry(entry);
      tar.write(content);
      tar.closeArchiveEntry();
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  byte[] bytes() {
    try {
      tar.close();
      return bytes.toByteArray();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static byte[] gzip(byte[] content) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(content);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toByteArray();
  }

  static byte[] zstd(byte[] content) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream zstd = new ZstdJavaOutputStream(out)) {
      zstd.write(content);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return out.toByteArray();
  }
}
