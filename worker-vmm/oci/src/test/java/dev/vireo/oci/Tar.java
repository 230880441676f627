package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.airlift.compress.v3.zstd.ZstdJavaOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
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

  /** A sparse file, as old GNU tars have them: a hole, and a last block of the letter x. */
  Tar sparse(String name, long size) {
    byte[] header = new byte[TarConstants.DEFAULT_RCDSIZE];
    TarArchiveEntry entry = entry(name, TarConstants.LF_GNUTYPE_SPARSE, 0644);
    entry.setSize(TarConstants.DEFAULT_RCDSIZE);
    entry.writeEntryHeader(header);
    Arrays.fill(header, 345, header.length, (byte) 0);
    put(header, 257, "ustar  \0");
    put(header, 386, "%012o%012o".formatted(size - header.length, header.length));
    put(header, 483, "%012o".formatted(size));
    Arrays.fill(header, 148, 156, (byte) ' ');
    int sum = 0;
    for (byte one : header) {
      sum += one & 0xff;
    }
    put(header, 148, "%06o\0".formatted(sum));
    bytes.writeBytes(header);
    bytes.writeBytes("x".repeat(header.length).getBytes(UTF_8));
    return this;
  }

  private static void put(byte[] header, int offset, String text) {
    System.arraycopy(text.getBytes(UTF_8), 0, header, offset, text.length());
  }

  /** PAX records for the next entry, as bytes. */
  Tar records(byte[] records) {
    return add(entry("PaxHeaders", TarConstants.LF_PAX_EXTENDED_HEADER_LC, 0644), records);
  }

  static byte[] records(byte[]... records) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    for (byte[] record : records) {
      all.writeBytes(record);
    }
    return all.toByteArray();
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

  /** As zstd:chunked has them: frames that mean nothing, and two that hold the content. */
  static byte[] zstdWithSkippableFrames(byte[] content) {
    int middle = content.length / 2;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(skippableFrame(0x50, 100_000));
    out.writeBytes(zstd(Arrays.copyOf(content, middle)));
    out.writeBytes(skippableFrame(0x5f, 0));
    out.writeBytes(zstd(Arrays.copyOfRange(content, middle, content.length)));
    out.writeBytes(skippableFrame(0x51, 3));
    return out.toByteArray();
  }

  private static byte[] skippableFrame(int first, int length) {
    return ByteBuffer.allocate(8 + length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(0x184d2a00 | first)
        .putInt(length)
        .array();
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
