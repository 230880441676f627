package dev.vireo.images;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.apache.commons.compress.archivers.cpio.CpioArchiveEntry;
import org.apache.commons.compress.archivers.cpio.CpioArchiveOutputStream;
import org.apache.commons.compress.archivers.cpio.CpioConstants;

/**
 * A root file system in the kernel's initramfs format: a cpio archive, "newc"
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Not compressed, since a guest that
 * has it in memory would only have to undo that. Equal content gives equal bytes.
 */
public final class Initramfs {
  /**
   * @param mode file type and permissions (inode(7))
   * @param content of a file, or a symbolic link's target; never written to
   * @param major of a device
   * @param minor of a device
   */
  private record Node(int mode, ByteBuffer content, int major, int minor) {
    Node(int mode, byte[] content) {
      this(mode, ByteBuffer.wrap(content), 0, 0);
    }

    boolean isDirectory() {
      return (mode & CpioConstants.S_IFMT) == CpioConstants.C_ISDIR;
    }
  }

  private static final Node DIRECTORY = new Node(CpioConstants.C_ISDIR | 0755, new byte[0]);

  // Sorted: a directory comes before what it holds, and the order does not depend on the caller.
  private final Map<Path, Node> nodes = new TreeMap<>();

  /** Adds a directory, and those above it. */
  public Initramfs directory(String path) {
    return add(path, DIRECTORY);
  }

  /**
   * Adds a file, and the directories above it.
   *
   * @param permissions for example 0755
   */
  public Initramfs file(String path, int permissions, byte[] content) {
    return add(path, new Node(CpioConstants.C_ISREG | permissions, content.clone()));
  }

  /** Adds a symbolic link, and the directories above it. */
  public Initramfs link(String path, String target) {
    return add(path, new Node(CpioConstants.C_ISLNK | 0777, target.getBytes(UTF_8)));
  }

  /** Adds a character device that root alone may open, and the directories above it. */
  public Initramfs characterDevice(String path, int major, int minor) {
    return add(path, new Node(CpioConstants.C_ISCHR | 0600, ByteBuffer.allocate(0), major, minor));
  }

  private Initramfs add(String path, Node node) {
    Path relative = Path.of("/").relativize(Path.of("/", path).normalize());
    for (Path parent = relative.getParent(); parent != null; parent = parent.getParent()) {
      nodes.putIfAbsent(parent, DIRECTORY);
    }
    nodes.put(relative, node);
    return this;
  }

  /** Writes the archive. The stream stays open. */
  public void writeTo(OutputStream out) throws IOException {
    CpioArchiveOutputStream cpio = new CpioArchiveOutputStream(out, CpioConstants.FORMAT_NEW);
    int inode = 0;
    for (Map.Entry<Path, Node> node : nodes.entrySet()) {
      inode++;
      cpio.putArchiveEntry(entry(node.getKey(), inode, node.getValue()));
      cpio.write(node.getValue().content().array());
      cpio.closeArchiveEntry();
    }
    cpio.finish();
  }

  /** Writes the archive to a new file. */
  void writeTo(Path file) throws IOException {
    try (OutputStream out = Files.newOutputStream(file)) {
      writeTo(out);
    }
  }

  private static CpioArchiveEntry entry(Path path, int inode, Node node) {
    CpioArchiveEntry entry = new CpioArchiveEntry(CpioConstants.FORMAT_NEW, path.toString());
    entry.setMode(node.mode());
    entry.setNumberOfLinks(node.isDirectory() ? 2 : 1);
    entry.setRemoteDeviceMaj(node.major());
    entry.setRemoteDeviceMin(node.minor());
    entry.setSize(node.content().capacity());
    entry.setInode(inode);
    entry.setTime(0);
    return entry;
  }
}
