package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.LAYER_INVALID;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.images.ImageException;
import dev.vireo.oci.LayerEntry.Attributes;
import dev.vireo.oci.LayerEntry.Kind;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.Optional;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.jspecify.annotations.Nullable;

/**
 * Reads the entries of a layer's tar, in order: ustar, GNU's long names and sparse files, PAX. What
 * could lead out of the root, or is no file, is refused with its name.
 */
final class LayerReader implements Closeable {
  private static final String WHITEOUT = ".wh.";
  private static final String OPAQUE = ".wh..wh..opq";

  /** Notes of aufs, on which docker's first layers were made. */
  private static final String AUFS = ".wh..wh.";

  private static final String XATTR = "SCHILY.xattr.";
  private static final int MOST_PATH_BYTES = 4096;
  private static final int MOST_NAME_BYTES = 255;
  private static final int MOST_MAJOR = 0xfff;
  private static final int MOST_MINOR = 0xf_ffff;
  private static final long MOST_UNSIGNED = 0xffff_ffffL;

  private final HeaderTap tap;
  private final TarArchiveInputStream tar;
  private long contentBytes;

  /**
   * @param in the tar, not compressed; closed with this
   */
  LayerReader(InputStream in) {
    tap = new HeaderTap(in);
    tar = new TarArchiveInputStream(tap, ISO_8859_1.name());
  }

  /**
   * The next entry; nothing after the last.
   *
   * @throws ImageException LAYER_INVALID, naming the entry
   * @throws IOException if the tar is broken
   */
  Optional<LayerEntry> next() throws IOException, ImageException {
    while (true) {
      finishContent();
      tap.begin();
      @Nullable TarArchiveEntry entry = nextEntry();
      if (entry == null) {
        return Optional.empty();
      }
      Optional<LayerEntry> read = read(entry, new PaxRecords(tap.end()));
      if (read.isPresent()) {
        return read;
      }
    }
  }

  private @Nullable TarArchiveEntry nextEntry() throws IOException {
    try {
      return tar.getNextEntry();
    } catch (IllegalArgumentException e) {
      throw new IOException("not a tar: " + e.getMessage(), e);
    }
  }

  /** So that what is tapped begins with the padding, and then headers. */
  private void finishContent() throws IOException {
    @Nullable TarArchiveEntry entry = tar.getCurrentEntry();
    if (entry != null) {
      // Zeros of holes need no reading.
      while (entry.isSparse() && tar.skip(Long.MAX_VALUE) > 0) {}
      tar.transferTo(OutputStream.nullOutputStream());
    }
  }

  /** The content of the entry that {@link #next} returned last. */
  InputStream content() {
    return tar;
  }

  @Override
  public void close() throws IOException {
    tar.close();
  }

  private Optional<LayerEntry> read(TarArchiveEntry entry, PaxRecords pax) throws ImageException {
    String written = pax.text("GNU.sparse.name").or(() -> pax.text("path")).orElse(entry.getName());
    count(entry, written);
    String path = normal(written, written);
    // Some tars call the root "/".
    if (written.startsWith("/") && !path.isEmpty()) {
      throw refused(written, "is absolute");
    }
    if (isOfAufs(path)) {
      return Optional.empty();
    }
    String name = path.substring(path.lastIndexOf('/') + 1);
    String parent = path.substring(0, Math.max(0, path.lastIndexOf('/')));
    if (name.equals(OPAQUE)) {
      return Optional.of(whiteout(Kind.OPAQUE, parent));
    }
    if (name.startsWith(WHITEOUT)) {
      String hidden = name.substring(WHITEOUT.length());
      if (hidden.isEmpty() || hidden.equals(".") || hidden.equals("..")) {
        throw refused(written, "hides no name");
      }
      return Optional.of(
          whiteout(Kind.WHITEOUT, parent.isEmpty() ? hidden : parent + "/" + hidden));
    }
    return Optional.of(file(entry, pax, written, path));
  }

  /** Of a sparse file a few bytes say how large it is. */
  private void count(TarArchiveEntry entry, String written) throws ImageException {
    long size = entry.getRealSize();
    if (size < 0 || size > LayerScan.MOST_BYTES - contentBytes) {
      throw refused(
          written, "makes the layer's files larger than %d bytes".formatted(LayerScan.MOST_BYTES));
    }
    contentBytes += size;
  }

  private static boolean isOfAufs(String path) {
    for (String part : path.split("/", -1)) {
      if (part.startsWith(AUFS) && !part.equals(OPAQUE)) {
        return true;
      }
    }
    return false;
  }

  private static LayerEntry whiteout(Kind kind, String path) {
    return new LayerEntry(kind, path, 0, "", 0, 0, Attributes.OF_MISSING_DIRECTORY);
  }

  private static LayerEntry file(TarArchiveEntry entry, PaxRecords pax, String written, String path)
      throws ImageException {
    Kind kind = kind(entry, written);
    if (path.isEmpty() && kind != Kind.DIRECTORY) {
      throw refused(written, "is no directory, but the root");
    }
    return new LayerEntry(
        kind,
        path,
        kind == Kind.FILE ? entry.getRealSize() : 0,
        link(kind, pax.text("linkpath").orElse(entry.getLinkName()), written),
        device(entry.getDevMajor(), MOST_MAJOR, kind, written),
        device(entry.getDevMinor(), MOST_MINOR, kind, written),
        new Attributes(
            entry.getMode() & 07777,
            id(entry.getLongUserId(), written),
            id(entry.getLongGroupId(), written),
            Math.clamp(entry.getLastModifiedTime().to(TimeUnit.SECONDS), 0, MOST_UNSIGNED),
            pax.withPrefix(XATTR)));
  }

  private static Kind kind(TarArchiveEntry entry, String written) throws ImageException {
    return switch (entry.getLinkFlag()) {
      case TarConstants.LF_SYMLINK -> Kind.SYMBOLIC_LINK;
      case TarConstants.LF_LINK -> Kind.HARD_LINK;
      case TarConstants.LF_CHR -> Kind.CHARACTER_DEVICE;
      case TarConstants.LF_BLK -> Kind.BLOCK_DEVICE;
      case TarConstants.LF_FIFO -> Kind.FIFO;
      case TarConstants.LF_DIR -> Kind.DIRECTORY;
      // The oldest tars have no type for directories.
      case TarConstants.LF_NORMAL,
          TarConstants.LF_OLDNORM,
          TarConstants.LF_CONTIG,
          TarConstants.LF_GNUTYPE_SPARSE ->
          written.endsWith("/") ? Kind.DIRECTORY : Kind.FILE;
      default ->
          throw refused(
              written,
              "is of a type that no layer has: '%c'".formatted((char) entry.getLinkFlag()));
    };
  }

  /** What a symbolic link says means something in the guest only. */
  private static String link(Kind kind, String link, String written) throws ImageException {
    return switch (kind) {
      case HARD_LINK -> {
        if (link.startsWith("/")) {
          throw refused(written, "is a hard link to the absolute " + shown(link));
        }
        yield normal(link, written);
      }
      case SYMBOLIC_LINK -> {
        if (link.isEmpty() || link.length() >= MOST_PATH_BYTES || link.indexOf('\0') >= 0) {
          throw refused(written, "is a symbolic link to what is no path");
        }
        yield link;
      }
      case FILE, DIRECTORY, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO, WHITEOUT, OPAQUE -> "";
    };
  }

  private static int device(int number, int most, Kind kind, String written) throws ImageException {
    if (kind != Kind.CHARACTER_DEVICE && kind != Kind.BLOCK_DEVICE) {
      return 0;
    }
    if (number < 0 || number > most) {
      throw refused(written, "is a device of a number that Linux has not: " + number);
    }
    return number;
  }

  /** The library reads one of 32 bits as if it had a sign. */
  private static long id(long read, String written) throws ImageException {
    long number = read < 0 && read >= Integer.MIN_VALUE ? read & MOST_UNSIGNED : read;
    if (number < 0 || number >= MOST_UNSIGNED) {
      throw refused(written, "is of a user or group that Linux has not: " + number);
    }
    return number;
  }

  /** Without the slashes and dots that mean nothing. */
  private static String normal(String path, String written) throws ImageException {
    if (path.length() >= MOST_PATH_BYTES) {
      throw refused(written, "has a path longer than Linux takes");
    }
    StringJoiner normal = new StringJoiner("/");
    for (String part : path.split("/", -1)) {
      if (part.equals("..")) {
        throw refused(written, "leads out of where it is, by .. in " + shown(path));
      }
      if (part.length() > MOST_NAME_BYTES || part.indexOf('\0') >= 0) {
        throw refused(written, "has a name that Linux does not take");
      }
      if (!part.isEmpty() && !part.equals(".")) {
        normal.add(part);
      }
    }
    return normal.toString();
  }

  static ImageException refused(String path, String what) {
    return new ImageException(LAYER_INVALID, "entry \"%s\" %s".formatted(shown(path), what));
  }

  /** For people: as UTF-8, short, and without what a terminal would act on. */
  static String shown(String path) {
    String text = new String(path.getBytes(ISO_8859_1), UTF_8).replaceAll("\\p{Cntrl}", "?");
    return text.length() <= 200 ? text : text.substring(0, 200) + "…";
  }

  /**
   * Keeps the bytes that an entry's headers are read from. The library takes PAX records for UTF-8,
   * but extended attributes are bytes: a file's capabilities would come out damaged.
   */
  private static final class HeaderTap extends FilterInputStream {
    private static final int MOST_BYTES = 1 << 20;

    private final ByteArrayOutputStream tapped = new ByteArrayOutputStream();
    private boolean on;
    private long position;
    private int padding;

    HeaderTap(InputStream in) {
      super(in);
    }

    void begin() {
      tapped.reset();
      padding = (int) Math.floorMod(-position, (long) PaxRecords.BLOCK);
      on = true;
    }

    /** What has come since, from the first header on. */
    byte[] end() {
      on = false;
      byte[] all = tapped.toByteArray();
      return Arrays.copyOfRange(all, Math.min(padding, all.length), all.length);
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
      int count = in.read(buffer, offset, length);
      if (count > 0) {
        position += count;
        if (on) {
          tapped.write(buffer, offset, count);
          if (tapped.size() > MOST_BYTES) {
            throw new IOException(
                "an entry's headers are larger than %d bytes".formatted(MOST_BYTES));
          }
        }
      }
      return count;
    }

    @Override
    public long skip(long count) throws IOException {
      // Read: what is skipped has to be digested and tapped as well. And all of it: the library
      // goes on to a sparse file's next part.
      byte[] buffer = new byte[Math.clamp(count, 0, 1 << 13)];
      long left = count;
      while (left > 0) {
        int skipped = read(buffer, 0, Math.clamp(left, 0, buffer.length));
        if (skipped < 0) {
          break;
        }
        left -= skipped;
      }
      return Math.max(0, count) - Math.max(0, left);
    }

    @Override
    public int available() {
      return 0;
    }

    @Override
    public boolean markSupported() {
      return false;
    }
  }

  /** The PAX records of one entry (POSIX pax, "Extended Header"), as bytes. */
  private static final class PaxRecords {
    static final int BLOCK = 512;
    private static final int SIZE_OFFSET = 124;
    private static final int SIZE_LENGTH = 12;
    private static final int TYPE_OFFSET = 156;

    private final Map<String, byte[]> records = new TreeMap<>();

    /**
     * @param headers blocks: extensions, each with its content, before the entry's own header
     */
    PaxRecords(byte[] headers) throws IOException {
      int at = 0;
      while (at + BLOCK <= headers.length) {
        char type = (char) headers[at + TYPE_OFFSET];
        if ("xgLK".indexOf(type) < 0) {
          return;
        }
        int size = size(headers, at);
        if (type == 'x') {
          parse(headers, at + BLOCK, size);
        }
        at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
      }
    }

    private static int size(byte[] headers, int header) throws IOException {
      String octal =
          new String(headers, header + SIZE_OFFSET, SIZE_LENGTH, ISO_8859_1)
              .replace('\0', ' ')
              .strip();
      try {
        int size = Integer.parseInt(octal, 8);
        if (size >= 0 && size <= headers.length - header - BLOCK) {
          return size;
        }
      } catch (NumberFormatException e) {
        // Told below, as any size that cannot be.
      }
      throw new IOException("an extended header has the size " + octal);
    }

    /** Each record is "LENGTH KEY=VALUE\n", the length being that of all of it. */
    private void parse(byte[] headers, int start, int size) throws IOException {
      int at = start;
      int end = start + size;
      while (at < end) {
        int space = find(headers, ' ', at, end);
        int length = decimal(headers, at, space);
        int equals = find(headers, '=', space, end);
        if (length <= space - at || at + length > end || equals >= at + length) {
          throw new IOException("an extended header has a record of the length " + length);
        }
        String key = new String(headers, space + 1, equals - space - 1, UTF_8);
        records.put(key, Arrays.copyOfRange(headers, equals + 1, at + length - 1));
        at += length;
      }
    }

    private static int find(byte[] bytes, char wanted, int from, int to) throws IOException {
      for (int i = from; i < to; i++) {
        if (bytes[i] == wanted) {
          return i;
        }
      }
      throw new IOException("an extended header has a record without '%c'".formatted(wanted));
    }

    private static int decimal(byte[] bytes, int from, int to) throws IOException {
      try {
        return Integer.parseInt(new String(bytes, from, to - from, ISO_8859_1));
      } catch (NumberFormatException e) {
        throw new IOException("an extended header has a record of no length", e);
      }
    }

    Optional<String> text(String key) {
      return Optional.ofNullable(records.get(key)).map(value -> new String(value, ISO_8859_1));
    }

    /** Those whose keys begin so, by the rest of the key; sorted. */
    Map<String, byte[]> withPrefix(String prefix) {
      Map<String, byte[]> found = new TreeMap<>();
      records.forEach((key, value) -> {
        if (key.startsWith(prefix)) {
          found.put(key.substring(prefix.length()), value);
        }
      });
      return Collections.unmodifiableMap(found);
    }
  }
}
