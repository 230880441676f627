package dev.vireo.worker.agent;

import com.google.protobuf.Timestamp;
import dev.vireo.proto.v1.FileEntry;
import java.nio.charset.StandardCharsets;

/**
 * Entries of files: those of clients as agents have them, and back, when they are to be trusted.
 */
final class FileEntries {
  /** PATH_MAX of linux/limits.h, without the NUL. */
  private static final int MAX_PATH_BYTES = 4_095;

  private static final int MAX_MODE = 0_7777;

  /** The years 1 to 9999, as in google/protobuf/timestamp.proto. */
  private static final long FIRST_SECOND = -62_135_596_800L;

  private static final long LAST_SECOND = 253_402_300_799L;

  private FileEntries() {}

  static dev.vireo.proto.agent.v1.FileEntry toAgent(FileEntry entry) {
    return dev.vireo.proto.agent.v1.FileEntry.newBuilder()
        .setPath(entry.getPath())
        .setTypeValue(entry.getTypeValue())
        .setMode(entry.getMode())
        .setUid(entry.getUid())
        .setGid(entry.getGid())
        .setModificationTime(entry.getModificationTime().getSeconds())
        .setSize(entry.getSize())
        .setLinkTarget(entry.getLinkTarget())
        .build();
  }

  /** What a guest says that there is: of a kind that exists, and nowhere but below the path. */
  static FileEntry fromAgent(dev.vireo.proto.agent.v1.FileEntry entry) throws AgentException {
    FileEntry.Type type =
        switch (entry.getType()) {
          case REGULAR -> FileEntry.Type.REGULAR;
          case DIRECTORY -> FileEntry.Type.DIRECTORY;
          case SYMBOLIC_LINK -> FileEntry.Type.SYMBOLIC_LINK;
          case TYPE_UNSPECIFIED, UNRECOGNIZED ->
              throw AgentException.broken("sent an entry of no type");
        };
    boolean regular = type == FileEntry.Type.REGULAR;
    boolean link = type == FileEntry.Type.SYMBOLIC_LINK;
    String target = entry.getLinkTarget();
    if (!isBelow(entry.getPath())) {
      throw AgentException.broken("sent an entry whose path leads elsewhere");
    }
    if (entry.getMode() < 0
        || entry.getMode() > MAX_MODE
        || entry.getSize() < 0
        || (entry.getSize() > 0 && !regular)
        || link == target.isEmpty()
        || !isPath(target)) {
      throw AgentException.broken("sent an entry that no file can have");
    }
    return FileEntry.newBuilder()
        .setPath(entry.getPath())
        .setType(type)
        .setMode(entry.getMode())
        .setUid(entry.getUid())
        .setGid(entry.getGid())
        .setModificationTime(
            Timestamp.newBuilder()
                .setSeconds(Math.clamp(entry.getModificationTime(), FIRST_SECOND, LAST_SECOND)))
        .setSize(entry.getSize())
        .setLinkTarget(target)
        .build();
  }

  private static boolean isBelow(String path) {
    if (path.isEmpty()) {
      return true;
    }
    for (String part : path.split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..")) {
        return false;
      }
    }
    return isPath(path);
  }

  private static boolean isPath(String text) {
    return text.indexOf('\0') < 0 && text.getBytes(StandardCharsets.UTF_8).length <= MAX_PATH_BYTES;
  }
}
