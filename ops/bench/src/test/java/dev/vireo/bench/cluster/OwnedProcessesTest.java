package dev.vireo.bench.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class OwnedProcessesTest {
  private static final List<String> ENDLESS = List.of("sleep", "1000");

  @Test
  void closingEndsWhatIsLeftAndRemovesTheDirectory() throws Exception {
    OwnedProcesses processes = OwnedProcesses.create("vireo-test");
    Process endless = processes.start(Path.of("log"), Map.of(), ENDLESS);
    assertEquals(List.of(endless.pid()), processes.alive());

    processes.close();

    assertTrue(endless.waitFor(5, TimeUnit.SECONDS));
    assertFalse(Files.exists(processes.directory()));
  }

  /** A VMM outlives the worker that started it: it is known by its output alone. */
  @Test
  void aGrandchildThatOutlivedItsParentIsOwnedToo() throws Exception {
    OwnedProcesses processes = OwnedProcesses.create("vireo-test");
    Process parent =
        processes.start(Path.of("log"), Map.of(), List.of("sh", "-c", "setsid sleep 1000 &"));
    assertTrue(parent.waitFor(5, TimeUnit.SECONDS));
    assertEquals(1, processes.alive().size());

    processes.close();

    assertEquals(List.of(), processes.alive());
  }

  /** Of a worker that was killed with all its VMMs: nobody else would remove them. */
  @Test
  void controlGroupsOfItsNodesAreRemoved() throws Exception {
    List<Path> hierarchies = writableHierarchies();
    assumeFalse(hierarchies.isEmpty(), "this host has no control groups that can be used");
    List<String> uids = List.of(UUID.randomUUID().toString(), UUID.randomUUID().toString());
    OwnedProcesses processes = OwnedProcesses.create("vireo-test");
    for (String uid : uids) {
      Path node = Files.createDirectories(processes.directory().resolve("worker/" + uid));
      Files.writeString(node.resolve("node-uid"), uid);
      for (Path hierarchy : hierarchies) {
        Files.createDirectories(hierarchy.resolve("vireo/" + uid + "/0a1b2c3d"));
      }
    }

    processes.close();

    for (Path hierarchy : hierarchies) {
      for (String uid : uids) {
        assertFalse(Files.exists(hierarchy.resolve("vireo/" + uid)), hierarchy.toString());
      }
    }
  }

  private static List<Path> writableHierarchies() throws IOException {
    try (Stream<String> mounts = Files.lines(Path.of("/proc/self/mounts"))) {
      return mounts
          .map(mount -> mount.split(" ", -1))
          .filter(mount -> mount[2].equals("cgroup") || mount[2].equals("cgroup2"))
          .map(mount -> Path.of(mount[1]))
          .filter(Files::isWritable)
          .toList();
    }
  }

  @Test
  void outputIsKeptInOrder() throws IOException, InterruptedException {
    try (OwnedProcesses processes = OwnedProcesses.create("vireo-test")) {
      for (String word : List.of("one", "two")) {
        assertEquals(0, processes.start(Path.of("log"), Map.of(), List.of("echo", word)).waitFor());
      }
      assertEquals("one\ntwo\n", Files.readString(processes.directory().resolve("log")));
    }
  }

  /** As `vireo bench devices` has it: a state directory, a node, a microVM's uid, a socket. */
  @Test
  void aMicroVmsSocketFitsBelowItsDirectory() throws IOException {
    try (OwnedProcesses processes = OwnedProcesses.create("vireo-bench")) {
      String uid = UUID.randomUUID().toString();
      Path socket = processes.directory().resolve("state/worker/local/microvms/" + uid + "/vsock");
      int most = 107 - "_4294967295".length();
      assertTrue(socket.toString().length() <= most, socket + " has " + socket.toString().length());
    }
  }
}
