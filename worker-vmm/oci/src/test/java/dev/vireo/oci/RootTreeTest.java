package dev.vireo.oci;

import static java.util.stream.Collectors.joining;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayInputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Layer over layer: what hides what, and where links lead. */
class RootTreeTest {
  /** In the expected tree, a number is the layer that a name comes from, from 0. */
  static Stream<Arguments> layers() {
    return Stream.of(
        merged("a file over a file", "f:1", new Tar().file("f", "1"), new Tar().file("f", "2")),
        merged(
            "a file over a directory", "d:1", new Tar().file("d/f", ""), new Tar().file("d", "")),
        merged(
            "a directory over a file",
            "d/:1 d/f:1",
            new Tar().file("d", ""),
            new Tar().directory("d", 0755).file("d/f", "")),
        merged(
            "a directory over a directory",
            "d/:1 d/a:0 d/b:1",
            new Tar().directory("d", 0755).file("d/a", ""),
            new Tar().directory("d", 0700).file("d/b", "")),
        merged(
            "the last of two entries",
            "a:0 b:0",
            new Tar().file("a", "").file("b", "").file("a", "")),
        merged("a whiteout", "a:0", new Tar().file("a", "").file("b", ""), new Tar().whiteout("b")),
        merged(
            "a whiteout of a directory",
            "a:0",
            new Tar().file("a", "").file("d/e/f", ""),
            new Tar().whiteout("d")),
        merged("a whiteout of nothing", "a:0", new Tar().file("a", ""), new Tar().whiteout("x/y")),
        merged(
            "a whiteout and the same name again, in a layer above",
            "a:2",
            new Tar().file("a", ""),
            new Tar().whiteout("a"),
            new Tar().file("a", "")),
        merged(
            "a whiteout beside the name that it hides below",
            "d/:1 d/f:1",
            new Tar().file("d/f", "").file("d/g", ""),
            new Tar().directory("d", 0755).file("d/f", "").whiteout("d/g").whiteout("d/f")),
        merged(
            "an opaque directory",
            "d/:1 d/new:1 e:0",
            new Tar().file("d/old", "").file("d/e/f", "").file("e", ""),
            new Tar().directory("d", 0755).file("d/new", "").opaque("d")),
        merged(
            "an opaque root",
            "b:1",
            new Tar().file("a", "").file("d/f", ""),
            new Tar().file("b", "").opaque(".")),
        merged("an opaque directory that is new", "d/:-", new Tar().opaque("d")),
        merged(
            "a layer that goes through a lower one's link",
            "lib:0 usr/:- usr/lib/:0 usr/lib/a:0 usr/lib/b:1",
            new Tar().symbolicLink("lib", "usr/lib").directory("usr/lib", 0755).file("lib/a", ""),
            new Tar().file("lib/b", "")),
        merged(
            "a whiteout through a link",
            "lib:0 usr/:- usr/lib/:-",
            new Tar().symbolicLink("lib", "/usr/lib").file("usr/lib/a", ""),
            new Tar().whiteout("lib/a")),
        merged(
            "a link out of the root",
            "a:0 b/:0 f:1",
            new Tar().directory("b", 0755).symbolicLink("a", "../../b/.."),
            new Tar().file("a/f", "")),
        merged(
            "a link to what is not there",
            "a:0 x/:- x/y/:- x/y/f:1",
            new Tar().symbolicLink("a", "/x/y"),
            new Tar().file("a/f", "")),
        merged(
            "a directory over a link",
            "a/:1 a/f:1 b/:0",
            new Tar().directory("b", 0755).symbolicLink("a", "b"),
            new Tar().directory("a", 0755).file("a/f", "")),
        merged(
            "an opaque directory over a link",
            "a/:1 a/x:1 b/:- b/f:0",
            new Tar().symbolicLink("a", "b").file("b/f", ""),
            new Tar().directory("a", 0755).opaque("a").file("a/x", "")),
        merged(
            "an opaque directory over a link, told before the directory",
            "a/:1 a/x:1 b/:- b/f:0",
            new Tar().symbolicLink("a", "b").file("b/f", ""),
            new Tar().opaque("a").directory("a", 0755).file("a/x", "")),
        merged(
            "an opaque directory over a link that is hidden",
            "a/:- a/x:1 b/:- b/f:0",
            new Tar().symbolicLink("a", "b").file("b/f", ""),
            new Tar().opaque("a").whiteout("a").file("a/x", "")),
        merged(
            "an opaque directory below one that is put over a link",
            "a/:1 a/d/:1 a/d/x:1 b/:- b/d/:- b/d/f:0",
            new Tar().symbolicLink("a", "b").file("b/d/f", ""),
            new Tar().directory("a", 0755).directory("a/d", 0755).opaque("a/d").file("a/d/x", "")),
        merged(
            "a whiteout below a directory that is put over a link",
            "a/:1 b/:- b/f:0",
            new Tar().symbolicLink("a", "b").file("b/f", ""),
            new Tar().whiteout("a/f").directory("a", 0755)),
        merged(
            "an opaque directory through a link that stays",
            "a:0 b/:- b/x:1",
            new Tar().symbolicLink("a", "b").file("b/f", ""),
            new Tar().opaque("a").file("a/x", "")),
        merged(
            "a hard link over a layer",
            "a:1 b:0",
            new Tar().file("a", ""),
            new Tar().hardLink("b", "a").file("a", "")),
        merged(
            "a hard link to what goes",
            "b:0",
            new Tar().file("a", "").hardLink("b", "a"),
            new Tar().whiteout("a")),
        merged(
            "a hard link through a link",
            "b:0 c:0 d/:- d/f:0",
            new Tar().file("d/f", "").symbolicLink("c", "d").hardLink("b", "c/f")),
        merged(
            "a hard link to a symbolic link",
            "a:0 b:0",
            new Tar().symbolicLink("a", "x").hardLink("b", "a")),
        merged(
            "what aufs has noted",
            "a:0",
            new Tar().file("a", "").directory(".wh..wh.plnk", 0755).file(".wh..wh.plnk/1.2", "")),
        merged("dots and slashes", "a/:- a/b:0", new Tar().file("./a//./b", "")),
        merged("the root itself", "f:0", new Tar().directory("/", 0700).file("f", "")),
        merged("a tar without directories' type", "d/:0", new Tar().ofType("d/", '0')));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("layers")
  void layersAreMerged(String name, String expected, List<Tar> layers) throws Exception {
    RootTree tree = new RootTree();
    for (Tar layer : layers) {
      tree.apply(entries(layer));
    }

    List<String> names = new ArrayList<>();
    tree.visit((path, inode) -> {
      if (!path.isEmpty()) {
        names.add(
            path
                + (inode.entry().kind() == LayerEntry.Kind.DIRECTORY ? "/:" : ":")
                + (inode.layer() < 0 ? "-" : inode.layer()));
      }
    });
    assertEquals(expected, names.stream().collect(joining(" ")));
  }

  @Test
  void aDirectoryHasTheAttributesThatItWasGivenLast() throws Exception {
    RootTree tree = new RootTree();
    tree.apply(entries(new Tar().directory("d", 0711)));
    tree.apply(entries(new Tar().file("d/f", "")));
    tree.apply(entries(new Tar().directory("d", 0700)));

    List<Integer> modes = new ArrayList<>();
    tree.visit((path, inode) -> modes.add(inode.entry().attributes().mode()));
    assertEquals(List.of(0755, 0700, 0644), modes);
  }

  private static Arguments merged(String name, String expected, Tar... layers) {
    return Arguments.of(name, expected, List.of(layers));
  }

  private static List<LayerEntry> entries(Tar layer) throws Exception {
    List<LayerEntry> entries = new ArrayList<>();
    try (LayerReader reader = new LayerReader(new ByteArrayInputStream(layer.bytes()))) {
      Optional<LayerEntry> entry = reader.next();
      while (entry.isPresent()) {
        entries.add(entry.get());
        entry = reader.next();
      }
    }
    return entries;
  }
}
