package dev.vireo.oci;

import static dev.vireo.oci.LayerEntry.Kind.DIRECTORY;
import static dev.vireo.oci.LayerEntry.Kind.OPAQUE;
import static dev.vireo.oci.LayerEntry.Kind.SYMBOLIC_LINK;

import dev.vireo.images.ImageException;
import dev.vireo.oci.LayerEntry.Attributes;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A root file system in memory, without the files' contents: layer upon layer is applied to it as a
 * container runtime would extract them one over the other (OCI image specification, layer.md,
 * "Applying Changesets"; where it is silent, as containerd does). Paths go through the symbolic
 * links that are there, as in a chroot: none leads out.
 */
final class RootTree {
  /** As Linux' MAXSYMLINKS. */
  private static final int MOST_LINKS = 40;

  /** As many as a path has room for; links could lead deeper. */
  private static final int MOST_DEPTH = 2048;

  /** More files than any image has: each takes some hundred bytes of memory. */
  private static final int MOST_FILES = 2_000_000;

  /**
   * What a name stands for; hard links are several names of one.
   *
   * @param layer which layer's entry it is, from 0; -1 for a directory that no layer has
   * @param position of the entry in its layer
   */
  record Inode(LayerEntry entry, int layer, int position) {}

  /** Is shown the names of a tree. */
  @FunctionalInterface
  interface Visitor {
    /** A directory comes before what is in it, and names are in the order of their bytes. */
    void visit(String path, Inode inode);
  }

  private static final class Node {
    private Inode inode;
    private final Map<String, Node> children = new TreeMap<>();

    Node(Inode inode) {
      this.inode = inode;
    }

    boolean isDirectory() {
      return inode.entry().kind() == DIRECTORY;
    }
  }

  private final Node root = new Node(missingDirectory(""));
  private int layers;
  private int files;

  private static Inode missingDirectory(String path) {
    return new Inode(
        new LayerEntry(DIRECTORY, path, 0, "", 0, 0, Attributes.OF_MISSING_DIRECTORY), -1, -1);
  }

  /**
   * Puts a layer over those that are there.
   *
   * @throws ImageException LAYER_INVALID, naming the entry
   */
  void apply(List<LayerEntry> layer) throws ImageException {
    // Whiteouts hide what is below their layer, wherever in it they are.
    Set<String> own = ownPaths(layer);
    for (LayerEntry entry : layer) {
      hide(entry, own);
    }
    for (int position = 0; position < layer.size(); position++) {
      put(new Inode(layer.get(position), layers, position));
    }
    layers++;
  }

  /**
   * Where a layer has something of its own that is no link, or hides something. An opaque directory
   * may be another layer's.
   */
  private static Set<String> ownPaths(List<LayerEntry> layer) {
    return layer.stream()
        .filter(entry -> entry.kind() != OPAQUE && entry.kind() != SYMBOLIC_LINK)
        .map(LayerEntry::path)
        .collect(Collectors.toSet());
  }

  private void hide(LayerEntry entry, Set<String> own) {
    switch (entry.kind()) {
      case WHITEOUT -> {
        @Nullable Node parent = findBelow(parent(entry.path()), own);
        if (parent != null) {
          parent.children.remove(name(entry.path()));
        }
      }
      case OPAQUE -> {
        @Nullable Node directory = findBelow(entry.path(), own);
        if (directory != null) {
          directory.children.clear();
        }
      }
      case FILE, DIRECTORY, SYMBOLIC_LINK, HARD_LINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO -> {}
    }
  }

  private void put(Inode inode) throws ImageException {
    LayerEntry entry = inode.entry();
    switch (entry.kind()) {
      case WHITEOUT -> {}
      case OPAQUE -> makeDirectory(entry.path());
      case DIRECTORY -> {
        Node there = entry.path().isEmpty() ? root : child(entry.path());
        if (there.isDirectory()) {
          there.inode = inode;
        } else {
          replace(entry.path(), inode);
        }
      }
      case HARD_LINK -> {
        @Nullable Node target = findItself(entry.link());
        if (target == null || target.isDirectory()) {
          throw LayerReader.refused(
              entry.path(),
              "is a hard link to %s, which is %s"
                  .formatted(
                      LayerReader.shown(entry.link()),
                      target == null ? "not in the image" : "a directory"));
        }
        replace(entry.path(), target.inode);
      }
      case FILE, SYMBOLIC_LINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO ->
          replace(entry.path(), inode);
    }
  }

  /** The node of this path; a new one that is no directory if there is none. */
  private Node child(String path) throws ImageException {
    Node parent = makeDirectory(parent(path));
    @Nullable Node there = parent.children.get(name(path));
    return there == null ? replace(path, missingDirectory(path)) : there;
  }

  private Node replace(String path, Inode inode) throws ImageException {
    Node node = new Node(inode);
    if (makeDirectory(parent(path)).children.put(name(path), node) == null) {
      files++;
      if (files > MOST_FILES) {
        throw LayerReader.refused(path, "is one file too many: %d are taken".formatted(MOST_FILES));
      }
    }
    return node;
  }

  /** The directory of this path, made if it is missing; what is in its way and is none, goes. */
  private Node makeDirectory(String path) throws ImageException {
    return Objects.requireNonNull(walk(path, true));
  }

  /**
   * What a path is in the layers below. Where the layer itself has something instead of a link of
   * theirs, that link leads nowhere: what it led to is not what the layer hides.
   */
  private @Nullable Node findBelow(String path, Set<String> own) {
    for (int end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      if (isReplaced(path.substring(0, end), own)) {
        return null;
      }
    }
    return isReplaced(path, own) ? null : find(path);
  }

  private boolean isReplaced(String path, Set<String> own) {
    if (path.isEmpty() || !own.contains(path)) {
      return false;
    }
    @Nullable Node node = findItself(path);
    return node != null && node.inode.entry().kind() == SYMBOLIC_LINK;
  }

  private @Nullable Node find(String path) {
    try {
      return walk(path, false);
    } catch (ImageException e) {
      // Links that go round in circles lead to nothing.
      return null;
    }
  }

  /** As {@link #find}, but of a symbolic link the link. */
  private @Nullable Node findItself(String path) {
    @Nullable Node parent = find(parent(path));
    return parent == null ? null : parent.children.get(name(path));
  }

  /** Goes along a path from the root. Returns null, if nothing is to be made, where it ends. */
  private @Nullable Node walk(String path, boolean make) throws ImageException {
    Deque<Node> above = new ArrayDeque<>();
    Deque<String> left = new ArrayDeque<>(parts(path));
    Node node = root;
    int links = 0;
    while (!left.isEmpty()) {
      String part = left.removeFirst();
      if (part.equals("..")) {
        node = above.isEmpty() ? root : above.removeLast();
        continue;
      }
      @Nullable Node next = node.children.get(part);
      if (next != null && next.inode.entry().kind() == SYMBOLIC_LINK) {
        links++;
        if (links > MOST_LINKS) {
          throw LayerReader.refused(path, "is below symbolic links that go round in circles");
        }
        String target = next.inode.entry().link();
        List<String> parts = parts(target);
        for (int i = parts.size() - 1; i >= 0; i--) {
          left.addFirst(parts.get(i));
        }
        if (target.startsWith("/")) {
          above.clear();
          node = root;
        }
        continue;
      }
      if (next == null || !next.isDirectory()) {
        if (!make) {
          return left.isEmpty() ? next : null;
        }
        if (above.size() >= MOST_DEPTH) {
          throw LayerReader.refused(path, "is deeper than %d directories".formatted(MOST_DEPTH));
        }
        next = new Node(missingDirectory(path));
        node.children.put(part, next);
      }
      above.addLast(node);
      node = next;
    }
    return node;
  }

  private static List<String> parts(String path) {
    return Arrays.stream(path.split("/", -1))
        .filter(part -> !part.isEmpty() && !part.equals("."))
        .toList();
  }

  private static String parent(String path) {
    return path.substring(0, Math.max(0, path.lastIndexOf('/')));
  }

  private static String name(String path) {
    return path.substring(path.lastIndexOf('/') + 1);
  }

  /** Shows all there is, the root first, as an empty path. */
  void visit(Visitor visitor) {
    visit("", root, visitor);
  }

  private static void visit(String path, Node node, Visitor visitor) {
    visitor.visit(path, node.inode);
    node.children.forEach(
        (name, child) -> visit(path.isEmpty() ? name : path + "/" + name, child, visitor));
  }
}
