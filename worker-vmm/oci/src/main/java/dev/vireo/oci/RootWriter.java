package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.images.ImageException;
import dev.vireo.oci.LayerEntry.Attributes;
import dev.vireo.oci.LayerEntry.Kind;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.apache.commons.compress.archivers.tar.TarConstants;
import org.jspecify.annotations.Nullable;

/**
 * Writes a {@link RootTree} as one tar: what has no content first, then the files, as they come
 * from the layers. The same tree gives the same bytes.
 */
final class RootWriter implements Closeable {
  /** What squashfs has room for; Linux would not let others be read from it. */
  private static final Pattern EXTENDED = Pattern.compile("(user|trusted|security)\\..+");

  private final TarArchiveOutputStream tar;
  private final DiskFloor floor;

  /** For each layer, the names of those of its files that are in the tree, by position. */
  private final List<Map<Integer, List<String>>> files = new ArrayList<>();

  /**
   * @param out closed with this
   * @param floor of the disk that the tar goes to
   */
  RootWriter(OutputStream out, DiskFloor floor) {
    this.floor = floor;
    tar = new TarArchiveOutputStream(out, ISO_8859_1.name());
    tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_GNU);
    tar.setBigNumberMode(TarArchiveOutputStream.BIGNUMBER_STAR);
  }

  /** Writes all but files, and notes what is needed of the layers, from the lowest. */
  void begin(RootTree tree, int layers) throws IOException, ImageException {
    for (int i = 0; i < layers; i++) {
      files.add(new TreeMap<>());
    }
    List<Map.Entry<String, LayerEntry>> others = new ArrayList<>();
    tree.visit((path, inode) -> {
      if (inode.entry().kind() == Kind.FILE) {
        files
            .get(inode.layer())
            .computeIfAbsent(inode.position(), position -> new ArrayList<>())
            .add(path);
      } else {
        others.add(Map.entry(path, inode.entry()));
      }
    });
    for (Map.Entry<String, LayerEntry> other : others) {
      put(header(other.getKey(), other.getValue()), other.getValue().attributes());
      endEntry();
    }
  }

  /** Whether a layer has files that are in the tree: otherwise it need not be read again. */
  boolean needs(int layer) {
    return !files.get(layer).isEmpty();
  }

  /** Writes a layer's file under all its names, if the tree has it. */
  void file(int layer, int position, LayerEntry entry, InputStream content)
      throws IOException, ImageException {
    @Nullable List<String> names = files.get(layer).get(position);
    if (names == null) {
      return;
    }
    put(header(names.getFirst(), entry), entry.attributes());
    byte[] buffer = new byte[1 << 16];
    int count = content.read(buffer);
    while (count >= 0) {
      write(buffer, count);
      count = content.read(buffer);
    }
    endEntry();
    for (String name : names.subList(1, names.size())) {
      TarArchiveEntry link = new TarArchiveEntry(name, TarConstants.LF_LINK);
      link.setLinkName(names.getFirst());
      put(link, new Attributes(0644, 0, 0, 0, Map.of()));
      endEntry();
    }
  }

  private void write(byte[] buffer, int count) throws IOException, ImageException {
    floor.advance(count);
    try {
      tar.write(buffer, 0, count);
    } catch (IOException e) {
      throw new LayerScan.OutputException(e);
    }
  }

  private void endEntry() throws LayerScan.OutputException {
    try {
      tar.closeArchiveEntry();
    } catch (IOException e) {
      throw new LayerScan.OutputException(e);
    }
  }

  private static TarArchiveEntry header(String path, LayerEntry entry) {
    TarArchiveEntry header =
        switch (entry.kind()) {
          case FILE -> new TarArchiveEntry(path, TarConstants.LF_NORMAL);
          case DIRECTORY ->
              new TarArchiveEntry(path.isEmpty() ? "./" : path + "/", TarConstants.LF_DIR);
          case SYMBOLIC_LINK -> new TarArchiveEntry(path, TarConstants.LF_SYMLINK);
          case CHARACTER_DEVICE -> new TarArchiveEntry(path, TarConstants.LF_CHR);
          case BLOCK_DEVICE -> new TarArchiveEntry(path, TarConstants.LF_BLK);
          case FIFO -> new TarArchiveEntry(path, TarConstants.LF_FIFO);
          case HARD_LINK, WHITEOUT, OPAQUE ->
              throw new IllegalArgumentException("no tree has such: " + entry);
        };
    header.setSize(entry.size());
    header.setLinkName(entry.link());
    header.setDevMajor(entry.major());
    header.setDevMinor(entry.minor());
    return header;
  }

  private void put(TarArchiveEntry header, Attributes attributes)
      throws IOException, ImageException {
    Map<String, byte[]> extended = new TreeMap<>(attributes.extended());
    extended.keySet().removeIf(name -> !EXTENDED.matcher(name).matches());
    floor.reserve(tableBytes(header, extended));
    try {
      if (!extended.isEmpty()) {
        putExtended(extended);
      }
      header.setMode(attributes.mode());
      header.setUserId(attributes.uid());
      header.setGroupId(attributes.gid());
      header.setLastModifiedTime(FileTime.from(attributes.modified(), TimeUnit.SECONDS));
      tar.putArchiveEntry(header);
    } catch (IOException e) {
      throw new LayerScan.OutputException(e);
    }
  }

  /**
   * What squashfs has of an entry in its tables, which are written when all contents are.
   * Attributes of several files may be there once.
   */
  private static long tableBytes(TarArchiveEntry header, Map<String, byte[]> extended) {
    String path = header.getName();
    // A directory's has a slash at its end.
    long name = path.length() - 1L - path.lastIndexOf('/', path.length() - 2);
    long link = header.isSymbolicLink() ? header.getLinkName().length() : 0;
    long attributes = 0;
    for (Map.Entry<String, byte[]> attribute : extended.entrySet()) {
      attributes += attribute.getKey().length();
      attributes += attribute.getValue().length;
    }
    return name + link + attributes;
  }

  /** As a PAX header of our own: the library writes texts only. */
  private void putExtended(Map<String, byte[]> attributes) throws IOException {
    ByteArrayOutputStream records = new ByteArrayOutputStream();
    for (Map.Entry<String, byte[]> attribute : attributes.entrySet()) {
      records.write(record("SCHILY.xattr." + attribute.getKey(), attribute.getValue()));
    }
    TarArchiveEntry header =
        new TarArchiveEntry("attributes", TarConstants.LF_PAX_EXTENDED_HEADER_LC);
    header.setSize(records.size());
    header.setLastModifiedTime(FileTime.from(0, TimeUnit.SECONDS));
    tar.putArchiveEntry(header);
    tar.write(records.toByteArray());
    tar.closeArchiveEntry();
  }

  /** {@code "LENGTH KEY=VALUE\n"}, the length being that of all of it. */
  private static byte[] record(String key, byte[] value) {
    byte[] start = (" " + key + "=").getBytes(UTF_8);
    int rest = start.length + value.length + 1;
    int length = rest + Integer.toString(rest).length();
    length = rest + Integer.toString(length).length();
    ByteArrayOutputStream record = new ByteArrayOutputStream();
    record.writeBytes(Integer.toString(length).getBytes(UTF_8));
    record.writeBytes(start);
    record.writeBytes(value);
    record.write('\n');
    return record.toByteArray();
  }

  /** Writes the tar's end. */
  @Override
  public void close() throws IOException {
    try {
      tar.close();
    } catch (IOException e) {
      throw new LayerScan.OutputException(e);
    }
  }
}
