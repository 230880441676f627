package dev.vireo.oci;

import java.util.Map;

/**
 * A file of a layer, without its content. Names are bytes, of which each is a character: Linux asks
 * no encoding of them, and what is no UTF-8 has to come out as it went in.
 *
 * @param path without a slash at either end, and without . or ..; empty for the root
 * @param size of the content, bytes
 * @param link what a symbolic link says, or the path that a hard link is another name of
 * @param attributes its own, or its file's
 */
record LayerEntry(
    Kind kind, String path, long size, String link, int major, int minor, Attributes attributes) {
  /** What it is. */
  enum Kind {
    FILE,
    DIRECTORY,
    SYMBOLIC_LINK,
    HARD_LINK,
    CHARACTER_DEVICE,
    BLOCK_DEVICE,
    FIFO,
    /** Hides the path in the layers below (image-spec, layer.md, "Whiteouts"). */
    WHITEOUT,
    /** Hides all that layers below have in the directory. */
    OPAQUE
  }

  /**
   * What an inode says.
   *
   * @param mode permissions, with set-user-ID and the like
   * @param modified seconds since 1970, what squashfs can hold
   * @param extended attributes by name
   */
  record Attributes(int mode, long uid, long gid, long modified, Map<String, byte[]> extended) {
    /** Of a directory that no layer has, but for what is in it. */
    static final Attributes OF_MISSING_DIRECTORY = new Attributes(0755, 0, 0, 0, Map.of());
  }
}
