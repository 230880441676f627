package dev.vireo.worker.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StateDirectoryTest {
  @TempDir private Path temporary;

  @Test
  void isOneWorkersOnly() throws Exception {
    Path root = temporary.resolve("worker/n1");
    try (StateDirectory first = StateDirectory.open(root)) {
      assertEquals(root, first.root());
      var refusal =
          assertThrows(StateDirectory.UnusableException.class, () -> StateDirectory.open(root));
      assertTrue(String.valueOf(refusal.getMessage()).contains("running worker"));
    }
    StateDirectory.open(root).close();
  }

  @Test
  void keepsTheNodesUid() throws Exception {
    String uid;
    try (StateDirectory first = StateDirectory.open(temporary)) {
      uid = first.nodeUid();
      assertEquals(uid, first.nodeUid());
    }
    try (StateDirectory second = StateDirectory.open(temporary)) {
      assertEquals(uid, second.nodeUid());
    }
    try (StateDirectory other = StateDirectory.open(temporary.resolve("other"))) {
      assertFalse(uid.equals(other.nodeUid()));
    }
  }

  @Test
  void isForItsOwnerAlone() throws Exception {
    StateDirectory.open(temporary.resolve("n1")).close();
    assertEquals(
        "rwx------",
        PosixFilePermissions.toString(
            Files.getPosixFilePermissions(temporary.resolve("n1/microvms"))));
  }

  @Test
  void saysWhyItCannotBeUsed() throws Exception {
    Path file = Files.writeString(temporary.resolve("file"), "");
    assertThrows(StateDirectory.UnusableException.class, () -> StateDirectory.open(file));
  }

  @Test
  void saysWhyItsUidCannotBeKept() throws Exception {
    Files.createDirectories(temporary.resolve("n1/node-uid.new")); // in the way of the file
    var refusal =
        assertThrows(
            StateDirectory.UnusableException.class,
            () -> StateDirectory.open(temporary.resolve("n1")));
    assertTrue(String.valueOf(refusal.getMessage()).contains("node-uid.new"));
    Files.delete(temporary.resolve("n1/node-uid.new"));
    StateDirectory.open(temporary.resolve("n1")).close();
  }

  @Test
  void aUidIsNoWayOutOfIt() throws Exception {
    try (StateDirectory state = StateDirectory.open(temporary)) {
      for (String uid : new String[] {"", ".", "..", "../x", "a/b", "/etc", "x".repeat(129)}) {
        assertThrows(IllegalArgumentException.class, () -> state.microVm(uid), uid);
      }
      assertEquals(
          temporary.resolve("microvms/236b1ae4-50e8-426a-8af0-ff3339f9341a"),
          state.microVm("236b1ae4-50e8-426a-8af0-ff3339f9341a"));
    }
  }

  @Test
  void removesATreeButNotWhatItLinksTo() throws Exception {
    Path precious = Files.createDirectory(temporary.resolve("precious"));
    Files.writeString(precious.resolve("file"), "precious");
    Path tree = Files.createDirectories(temporary.resolve("tree/deep"));
    Files.createSymbolicLink(tree.resolve("link"), precious);
    StateDirectory.removeTree(temporary.resolve("tree"));
    assertFalse(Files.exists(temporary.resolve("tree")));
    assertTrue(Files.exists(precious.resolve("file")));
    StateDirectory.removeTree(temporary.resolve("tree"));
  }

  @Test
  void aFileIsReplacedWhole() throws Exception {
    Path file = temporary.resolve("record");
    AtomicFile.write(file, new byte[] {1, 2, 3});
    AtomicFile.write(file, new byte[] {4});
    assertEquals(4, Files.readAllBytes(file)[0]);
    assertEquals(1, temporary.toFile().list().length);
  }
}
