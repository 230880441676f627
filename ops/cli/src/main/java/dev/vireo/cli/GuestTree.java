package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.FileEntry;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Files as a guest says that they are, made here. A guest may say anything: nothing is written but
 * at the top and below it, and nothing through a symbolic link, whoever has made that. So each
 * directory on the way is looked at, links are made when all else is written, and a file is written
 * beside its place and moved there, which replaces a link and does not follow it. Of a mode only
 * permissions are kept: a guest's set-uid program would run as whoever copies it.
 */
final class GuestTree implements AutoCloseable {
  private static final int OWNER_ALL = 0700;

  /** Of what stays in memory until all else is written. */
  private static final long MOST_KEPT_BYTES = 64L << 20;

  private final Path top;
  private final List<FileEntry> links = new ArrayList<>();

  /** Those that were not there. */
  private final List<FileEntry> directories = new ArrayList<>();

  private long keptBytes;
  private @Nullable FileEntry file;
  private @Nullable Path beside;
  private @Nullable OutputStream content;
  private long left;

  /**
   * @param top where the entry without a path goes; if that is a link, it is not followed
   */
  GuestTree(Path top) {
    this.top = top.toAbsolutePath();
  }

  /** Writes what has come. */
  void take(CopyOutResponse response) throws IOException {
    switch (response.getResponseCase()) {
      case ENTRY -> begin(response.getEntry());
      case DATA -> add(response.getData());
      case RESPONSE_NOT_SET -> {} // Of a newer server.
    }
  }

  private void begin(FileEntry entry) throws IOException {
    endFile();
    Path place = place(entry);
    switch (entry.getType()) {
      case DIRECTORY -> {
        if (!Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) {
          Files.createDirectory(
              place, PosixFilePermissions.asFileAttribute(Modes.permissions(OWNER_ALL)));
          keep(entry, directories);
        }
      }
      case REGULAR -> {
        file = entry;
        left = entry.getSize();
        beside = Files.createTempFile(parent(place), ".vireo-cp-", "");
        content = Files.newOutputStream(beside);
      }
      case SYMBOLIC_LINK -> {
        if (entry.getPath().isEmpty()) {
          throw new IOException("the guest sent a link in place of what it leads to");
        }
        keep(entry, links);
      }
      case TYPE_UNSPECIFIED, UNRECOGNIZED ->
          throw new IOException("an entry of no type that is known here");
    }
  }

  private void keep(FileEntry entry, List<FileEntry> where) throws IOException {
    keptBytes += entry.getSerializedSize();
    if (keptBytes > MOST_KEPT_BYTES) {
      throw new IOException("the guest sent more than 64 MiB of names of links and directories");
    }
    where.add(entry);
  }

  /** Nothing but its own parts leads there: all above it are directories, and not by a link. */
  private Path place(FileEntry entry) throws IOException {
    Path place = top;
    if (entry.getPath().isEmpty()) {
      return place;
    }
    for (String part : entry.getPath().split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..") || part.indexOf('\0') >= 0) {
        throw new IOException("the guest sent a path that leads elsewhere");
      }
      if (!Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) {
        throw new IOException("%s is no directory".formatted(place));
      }
      place = place.resolve(path(part));
    }
    return place;
  }

  private static Path path(String text) throws IOException {
    try {
      return Path.of(text);
    } catch (InvalidPathException e) {
      throw new IOException("the guest sent what is no path here: " + e.getReason(), e);
    }
  }

  private static Path parent(Path place) throws IOException {
    Path parent = place.getParent();
    if (parent == null) {
      throw new IOException("%s is no place for a file".formatted(place));
    }
    return parent;
  }

  private void add(ByteString data) throws IOException {
    if (content == null || data.size() > left) {
      throw new IOException("the guest sent more than a file has");
    }
    data.writeTo(content);
    left -= data.size();
  }

  private void endFile() throws IOException {
    FileEntry entry = file;
    Path written = beside;
    if (entry == null || written == null || content == null) {
      return;
    }
    content.close();
    if (left != 0) {
      throw new IOException("the guest sent less than a file has");
    }
    Files.setPosixFilePermissions(written, Modes.permissions(entry.getMode()));
    Files.setLastModifiedTime(written, time(entry));
    Path place = place(entry);
    if (Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException("%s is a directory".formatted(place));
    }
    Files.move(written, place, StandardCopyOption.ATOMIC_MOVE);
    file = null;
    beside = null;
    content = null;
  }

  /** All has come: links are made now, and directories get the modes that might forbid writing. */
  void finish() throws IOException {
    endFile();
    for (FileEntry link : links) {
      Path place = place(link);
      Path target = path(link.getLinkTarget());
      if (Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) {
        throw new IOException("%s is a directory".formatted(place));
      }
      Files.deleteIfExists(place);
      Files.createSymbolicLink(place, target);
    }
    for (FileEntry directory : directories.reversed()) {
      Path place = place(directory);
      if (Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) {
        Files.setPosixFilePermissions(place, Modes.permissions(directory.getMode()));
        Files.setLastModifiedTime(place, time(directory));
      }
    }
  }

  private static FileTime time(FileEntry entry) {
    return FileTime.from(Instant.ofEpochSecond(entry.getModificationTime().getSeconds()));
  }

  /** What was not finished does not stay. */
  @Override
  public void close() throws IOException {
    if (content != null) {
      content.close();
      content = null;
    }
    if (beside != null) {
      Files.deleteIfExists(beside);
      beside = null;
    }
  }
}
